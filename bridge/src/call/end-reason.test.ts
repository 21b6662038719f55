import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causeText } from '../q850/causes.ts';
import { type EndReason, treatmentOf } from './end-reason.ts';

const detail = 'why';
const REASONS: Record<EndReason['kind'], EndReason> = {
  'caller-hangup': { kind: 'caller-hangup' },
  'not-answered': { kind: 'not-answered' },
  'bot-hangup': { kind: 'bot-hangup' },
  'bot-hangup-immediate': { kind: 'bot-hangup-immediate' },
  'bot-closed': { kind: 'bot-closed' },
  'bot-unavailable': { kind: 'bot-unavailable', detail },
  'bot-lost': { kind: 'bot-lost', detail },
  'bot-misbehaved': { kind: 'bot-misbehaved', detail },
  'media-timeout': { kind: 'media-timeout' },
  'media-failed': { kind: 'media-failed', detail },
  'setup-failed': { kind: 'setup-failed', detail },
  'max-duration': { kind: 'max-duration' },
  silence: { kind: 'silence' },
  transferred: { kind: 'transferred', by: 'operator' },
  'asterisk-lost': { kind: 'asterisk-lost' },
  'api-hangup': { kind: 'api-hangup' },
  shutdown: { kind: 'shutdown' },
  'taken-over': { kind: 'taken-over' },
  refused: { kind: 'refused', detail: 'at-capacity' },
  'bridge-died': { kind: 'bridge-died' },
};

test('every reason has a treatment, with a Q.850 cause that has a name', () => {
  for (const reason of Object.values(REASONS)) {
    const { cause, by, level } = treatmentOf(reason);
    assert.doesNotMatch(causeText(cause), /^Cause/, reason.kind);
    assert.ok(['caller', 'bot', 'bridge', 'operator'].includes(by));
    assert.ok(['info', 'warn', 'error'].includes(level));
  }
});

test('a caller is given back to the dialplan where the bridge failed them or stops, and only there', () => {
  for (const reason of Object.values(REASONS)) {
    const { by, fallback, level } = treatmentOf(reason);
    if (fallback !== undefined && reason.kind !== 'shutdown') assert.equal(by, 'bridge', reason.kind);
    if (level === 'error') assert.notEqual(fallback, undefined, reason.kind);
  }
});

test('who is gone or cut off is not played out', () => {
  const drained = Object.values(REASONS).filter((reason) => treatmentOf(reason).drain);
  assert.deepEqual(
    drained.map(({ kind }) => kind),
    ['bot-hangup', 'bot-closed', 'bot-lost', 'bot-misbehaved', 'shutdown'],
  );
});

test('a cause without a name is told by its number', () => {
  assert.equal(causeText(17), 'User busy');
  assert.equal(causeText(99), 'Cause 99');
});
