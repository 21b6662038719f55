import assert from 'node:assert/strict';
import { test } from 'node:test';
import { treatmentOf } from '../call/end-reason.ts';
import type { CallInfo } from '../call/info.ts';
import type { CallResult } from '../call/result.ts';
import { NO_FIGURES } from '../media/line.ts';
import { diedRecord, endedRecord, failedDialRecord, liveRecord } from './build.ts';
import { callRecordSchema } from './record.ts';

const OFFERED_MS = Date.UTC(2026, 10, 22, 10);
const info: CallInfo = {
  callId: 'c-1',
  streamId: '1.1',
  channelId: '1.1',
  sipCallId: 'sip-1',
  sipProvider: 'acme',
  tenant: undefined,
  encoding: 'pcmu',
  sampleRate: 8_000,
  transport: 'rtp',
  framing: 'json',
  dialect: 'native',
  direction: 'inbound',
  from: '+4917012345',
  to: '100',
  variables: {},
  appArgs: [],
  customVars: {},
  headers: {},
  recording: 'off',
  callbackUrl: undefined,
  remarks: [],
};
const playout = {
  offeredBytes: 0,
  playedBytes: 0,
  clearedBytes: 8_000,
  overflowBytes: 0,
  afterDrainBytes: 0,
  trimmedBytes: 0,
  audioFrames: 0,
  silenceFrames: 0,
  pausedFrames: 0,
  underruns: 2,
  longestGapMs: 40,
  highWaterMs: 0,
};
const result: CallResult = {
  reason: { kind: 'bot-lost', detail: 'closed with 1006' },
  treatment: treatmentOf({ kind: 'bot-lost', detail: '' }),
  cause: 41,
  sipStatus: undefined,
  answered: true,
  stepsMs: { media: 2, bot: 20, answered: 25, joined: 30, firstBotAudio: 90 },
  figures: {
    line: { ...NO_FIGURES, packetsReceived: 50, lost: -1, late: 3, jitterMs: 1.5 },
    playout,
    recording: undefined,
    skippedFrames: 6,
    droppedMessages: 1,
    botPauses: 0,
    botPausedMs: 0,
    refusedMessages: { binary: 2, 'not-json': 1 },
  },
};

test('the record of an ended call says when, how and why', () => {
  const record = endedRecord(info, result, 5_250, { offeredAtMs: OFFERED_MS });
  assert.deepEqual(callRecordSchema.parse(record), record);
  assert.deepEqual(record.times, {
    offered: '2026-11-22T10:00:00.000Z',
    botReady: '2026-11-22T10:00:00.020Z',
    answered: '2026-11-22T10:00:00.025Z',
    firstBotAudio: '2026-11-22T10:00:00.090Z',
    ended: '2026-11-22T10:00:05.250Z',
  });
  assert.deepEqual(
    [record.endReason, record.endDetail, record.endedBy, record.cause, record.causeText],
    ['bot-lost', 'closed with 1006', 'bridge', 41, 'Temporary failure'],
  );
  assert.equal(record.media?.clearedMs, 1_000);
  assert.equal(record.media?.botMessagesRefused, 3);
  assert.equal(record.media?.packetsLost, 0);
  assert.deepEqual([record.media?.packetsEarly, record.media?.skippedFrames], [0, 6]);
  assert.equal(record.outcome, undefined);
  assert.equal('tenant' in record, false);
});

test('what was cleared is told in the time that it takes on this line', () => {
  const wide: CallInfo = { ...info, encoding: 'pcm16', sampleRate: 16_000, transport: 'websocket' };
  const context = { offeredAtMs: OFFERED_MS };
  assert.equal(endedRecord(wide, result, 1, context).media?.clearedMs, 250);
  // In RTP a bot of linear audio has a line of G.711.
  assert.equal(
    endedRecord({ ...wide, sampleRate: 8_000, transport: 'rtp' }, result, 1, context).media?.clearedMs,
    1_000,
  );
});

test('an outbound call is offered when it is dialled and answered when it reaches the bridge', () => {
  const outbound: CallInfo = { ...info, direction: 'outbound', dialledAtMs: OFFERED_MS - 4_000 };
  const taken: CallResult = { ...result, stepsMs: { media: 2 } };
  const record = endedRecord(outbound, taken, 1_000, {
    offeredAtMs: OFFERED_MS,
  });
  assert.equal(record.times.offered, '2026-11-22T09:59:56.000Z');
  assert.equal(record.times.answered, '2026-11-22T10:00:00.000Z');
  assert.equal(record.outcome, 'answered');
});

test('the record of a failed dial has its outcome, and nothing of a bot', () => {
  const record = failedDialRecord({
    callId: 'c-2',
    channelId: '2.1',
    provider: 'acme',
    from: '100',
    to: '+4930777',
    dialledAtMs: OFFERED_MS,
    endedAtMs: OFFERED_MS + 1_000,
    outcome: 'busy',
    cause: 17,
    sipStatus: 486,
  });
  assert.deepEqual(callRecordSchema.parse(record), record);
  assert.partialDeepStrictEqual(record, {
    state: 'closed',
    endReason: 'not-answered',
    outcome: 'busy',
    cause: 17,
    sipStatus: 486,
  });
  assert.equal('dialect' in record, false);
});

test('a call that was live when the process died keeps what was known of it', () => {
  const live = liveRecord(info, 'active', { bot: 20 }, { offeredAtMs: OFFERED_MS });
  const record = diedRecord(live, OFFERED_MS + 60_000);
  assert.deepEqual(callRecordSchema.parse(record), record);
  assert.deepEqual([record.state, record.endReason, record.endedBy], ['closed', 'bridge-died', 'bridge']);
  assert.equal(record.times.botReady, '2026-11-22T10:00:00.020Z');
  assert.equal(record.times.ended, '2026-11-22T10:01:00.000Z');
});
