import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACT_KINDS, CALL_KINDS } from './kinds.ts';
import { type ActWindow, breachesOf, type CallFacts, type EndRecord } from './verdict.ts';

function kindOf<T extends { readonly name: string }>(kinds: readonly T[], name: string): T {
  return kinds.find((kind) => kind.name === name) ?? assert.fail(name);
}

const act = (name: string, fromMs: number, toMs: number, target?: string): ActWindow => ({
  kind: kindOf(ACT_KINDS, name),
  fromMs,
  toMs,
  target,
});

function call(kind: string, more: Partial<CallFacts> = {}): CallFacts {
  return {
    id: 'c',
    kind: kindOf(CALL_KINDS, kind),
    beganMs: 100_000,
    isOrderFailed: false,
    answeredMs: 101_000,
    endedMs: 120_000,
    endedBy: 'us',
    ...more,
  };
}

const ended = (endReason: string, state = 'closed'): EndRecord[] => [{ callId: 'c', state, endReason }];

/** What is wrong, in words. */
function wrong(facts: CallFacts, acts: ActWindow[], records: EndRecord[], deliveries?: number): string[] {
  const expected = ['api', 'ari'].includes(facts.kind.by) && records.length > 0 ? 1 : 0;
  return breachesOf(facts, acts, records, deliveries ?? expected).map(({ what }) => what);
}

test('a call that its telephone ends is well, and one that something else ends is cut', () => {
  assert.deepEqual(wrong(call('tone'), [], ended('caller-hangup')), []);
  assert.deepEqual(wrong(call('tone', { endedBy: 'them' }), [], ended('caller-hangup')), [
    'tone: hung up, and not by its telephone',
  ]);
  const [breach] = breachesOf(call('tone', { endedBy: 'them' }), [], ended('media-failed'), 0);
  assert.deepEqual([breach?.what, breach?.isCut], ['tone: ended as media-failed', true]);
});

test('a stop of the bridge explains the end of a call that is up then, and of no other', () => {
  const cut = call('tone', { endedBy: 'them' });
  assert.deepEqual(wrong(cut, [act('sigterm-start', 110_000, 119_000)], ended('shutdown')), []);
  assert.equal(wrong(cut, [act('sigterm-start', 50_000, 60_000)], ended('shutdown')).length, 1);
  assert.equal(wrong(cut, [act('sigterm-start', 121_000, 130_000)], ended('shutdown')).length, 1);
});

test('the death of the bridge explains no end of a call that is answered before and after', () => {
  const killed = [act('bridge-killed', 105_000, 108_000)];
  assert.deepEqual(wrong(call('tone'), killed, ended('bridge-died')), ['tone: ended as bridge-died']);
  assert.deepEqual(wrong(call('tone', { answeredMs: undefined }), killed, ended('bridge-died')), []);
  assert.deepEqual(wrong(call('tone', { endedMs: 107_000 }), killed, ended('bridge-died')), []);
});

test('a call that ARI has placed is set up after its answer', () => {
  const cut = [act('ari-cut', 102_000, 104_000)];
  assert.deepEqual(wrong(call('ari', { endedBy: 'them' }), cut, ended('setup-failed')), []);
  assert.equal(wrong(call('order', { endedBy: 'them' }), cut, ended('setup-failed')).length, 1);
});

test('an act with a target concerns its target only', () => {
  const closed = call('tone', { endedBy: 'them' });
  assert.deepEqual(wrong(closed, [act('bot-closes-1000', 110_000, 110_000, 'c')], ended('bot-closed')), []);
  const other = wrong(closed, [act('bot-closes-1000', 110_000, 110_000, 'd')], ended('bot-closed'));
  assert.deepEqual(other, ['tone: ended as bot-closed']);
});

test('every call has one record with an end', () => {
  assert.deepEqual(wrong(call('tone'), [], []), ['tone: no record']);
  assert.equal(wrong(call('tone'), [], [...ended('caller-hangup'), ...ended('caller-hangup')]).length, 1);
  assert.deepEqual(wrong(call('tone'), [], ended('caller-hangup', 'active')), [
    'tone: its record has no end: active',
  ]);
});

test('who is turned away while the events are away has no record, and nobody else', () => {
  const refused = call('tone', { answeredMs: undefined, endedBy: 'refused', status: 503 });
  assert.deepEqual(wrong(refused, [act('events-cut', 99_000, 105_000)], []), []);
  assert.deepEqual(wrong(refused, [act('handover', 99_000, 105_000)], []), ['tone: turned away with 503']);
});

test('an order that fails while nothing is done is a breach', () => {
  const failed = call('order', {
    isOrderFailed: true,
    answeredMs: undefined,
    endedBy: 'refused',
    status: 503,
  });
  assert.deepEqual(wrong(failed, [], []), ['order: the order was refused with 503']);
  assert.deepEqual(wrong(failed, [act('handover', 99_000, 105_000)], []), []);
});

test('a call that was placed has one callback, and a call that came in has none', () => {
  assert.deepEqual(wrong(call('order'), [], ended('caller-hangup'), 0), ['order: 0 final callbacks']);
  assert.deepEqual(wrong(call('order'), [], ended('caller-hangup'), 2), ['order: 2 final callbacks']);
  assert.equal(wrong(call('tone'), [], ended('caller-hangup'), 1).length, 1);
});
