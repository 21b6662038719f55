import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { MARKER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { heardMs } from '../sipp/stream.ts';
import { expectCleanRtp, expectGapless, expectNear, expectNoViolations } from '../stack/expect.ts';
import { newCallId, Stack } from '../stack/stack.ts';

const SLOT_MS = 20;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const BURSTS = [
  { to: '103', seconds: 32, audioMs: 30_000 },
  { to: '104', seconds: 12, audioMs: 10_000 },
  { to: '105', seconds: 12, audioMs: 11_800 },
];

test('audio in bursts is played gapless and in full: 30 s at once, 3.5 times real time, 1100 bytes at a time', async () => {
  const plays = BURSTS.map(async ({ to, seconds, audioMs }) => {
    const callId = newCallId(`burst-${to}`);
    const report = await stack.phones.callOnce({ to, callId, seconds });
    const { heard } = report;
    expectNoViolations(await stack.bot.wait(callId, 'closed'));
    expectCleanRtp(report);
    expectGapless(heard);
    expectNear(`heard of ${to}`, heardMs(heard, MARKER_HZ), audioMs, to === '105' ? 300 : 20);
  });
  await Promise.all(plays);
});

test('barge-in: after the clear nothing of what was queued is heard, and the new audio is', async () => {
  const callId = newCallId('barge-in');
  const { sip, heard, spoke } = await stack.phones.callOnce({
    to: '106',
    callId,
    seconds: 5,
    quietMs: 2000,
    speakMs: 6000,
  });
  const bot = await stack.bot.wait(callId, 'closed');
  expectNoViolations(bot);
  const clear =
    bot.sent.events.find(({ event }) => event === 'clear') ?? assert.fail('the bot did not clear');
  const lastOld =
    heard.segments.findLast(({ sound }) => sound === MARKER_HZ) ?? assert.fail('no audio before the clear');
  const firstNew =
    heard.segments.find(({ sound }) => sound === SECOND_HZ) ?? assert.fail('no audio after the clear');
  assert.ok(firstNew.fromMs >= lastOld.toMs - 25, 'old audio was heard after the new');
  expectNear('new audio', heardMs(heard, SECOND_HZ), 500, 20);
  const clearMs = clear.atMs - (sip.answeredAtMs ?? Number.NaN);
  const lateMs = lastOld.toMs - SLOT_MS - clearMs;
  assert.ok(
    lateMs < SLOT_MS + spoke.spacingDeviationMs.max,
    `old audio was heard for ${lateMs} ms after the clear`,
  );
});

test('marks come when what was before them has been played', async () => {
  const callId = newCallId('marks');
  const { sip, heard } = await stack.phones.callOnce({ to: '117', callId, seconds: 4 });
  const bot = await stack.bot.wait(callId, 'closed');
  expectNoViolations(bot);
  assert.deepEqual(
    bot.marks.map(({ name, cleared }) => [name, cleared]),
    [1, 2, 3, 4, 5].map((n) => [`mark-${n}`, false]),
  );
  expectNear('heard', heardMs(heard, MARKER_HZ), 2500, 20);
  for (const [at, { atMs }] of bot.marks.entries()) {
    const playedMs = (heard.firstAudioMs ?? Number.NaN) + 500 * (at + 1);
    expectNear(`mark ${at + 1}`, atMs - (sip.answeredAtMs ?? Number.NaN), playedMs, 60);
  }
});

test('a clear when nothing plays does no harm, and marks before it come back as cleared', async () => {
  const callId = newCallId('clear');
  const call = stack.phones.callOnce({ to: '118', callId, seconds: 3 });
  await stack.bot.wait(callId, 'answered');
  const oneSecond = Buffer.alloc(8000, 0x55).toString('base64');
  await stack.bot.send(
    callId,
    { event: 'clear' },
    { event: 'media', payload: oneSecond },
    { event: 'mark', name: 'gone' },
    { event: 'clear' },
  );
  await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.deepEqual(
    bot.marks.map(({ name, cleared }) => [name, cleared]),
    [['gone', true]],
  );
  expectNoViolations(bot);
});
