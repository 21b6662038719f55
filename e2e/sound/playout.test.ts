/** What the caller hears of the AI: when it begins, how evenly it goes on, and how it stops. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AT_ONCE, FAST, IN_STEPS, type Pace } from '../hands/bot.ts';
import { encodeUlaw, MARKER_HZ, SECOND_HZ, tone } from '../mock-pipecat/src/tones.ts';
import { FRAME, Handset } from '../phones/handset.ts';
import type { CallReport } from '../sipp/report.ts';
import { gaps, heardMs, type Segment } from '../sipp/stream.ts';
import { expectCleanRtp, expectGapless, expectNear, expectNoViolations } from '../stack/expect.ts';
import { SECOND_PHONE } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

/** Says nothing unless a test tells it to. */
const SILENT_BOT = '108';
const SLOT_MS = 20;
/** From the bot's socket to the caller's, when nothing waits. */
const TRANSIT_MS = 5;
/** The most that the first audio of an utterance may wait for more. */
const MAX_PREBUFFER_MS = 100;
/**
 * The bridge's own defaults: silence played at the end of a goodbye, and time for Asterisk to pass
 * on the last packet.
 */
const DRAIN_SILENCE_MS = 200;
const TAIL_MS = 100;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const marker = (ms: number) => encodeUlaw(tone(MARKER_HZ, ms, 8000));
const second = (ms: number) => encodeUlaw(tone(SECOND_HZ, ms, 8000));
const segmentsOf = ({ heard }: CallReport, sound: number): Segment[] =>
  heard.segments.filter((segment) => segment.sound === sound);
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** How long after each of `beganAtMs` the caller heard the first packet of a tone. */
function delays(report: CallReport, beganAtMs: readonly number[]): number[] {
  const starts = segmentsOf(report, MARKER_HZ).map(
    ({ fromMs }) => fromMs + (report.sip.answeredAtMs ?? Number.NaN),
  );
  assert.equal(starts.length, beganAtMs.length, 'utterances heard');
  return beganAtMs.map((atMs, at) => (starts[at] ?? Number.NaN) - atMs);
}

test('eight callers at once: each has an even grid of 20 ms, and the eight are spread over it', async (t) => {
  const { calls, errors } = await stack.phones.call({
    to: '102',
    callId: newCallId('grid'),
    calls: 8,
    rate: 20,
    seconds: 4,
  });
  assert.equal(calls.length, 8, errors);
  for (const report of calls) {
    expectCleanRtp(report);
    expectNear('drift', report.heard.driftMs, 0, SLOT_MS);
  }
  const phases = calls.map(({ heard }) => heard.phaseMs).sort((a, b) => a - b);
  t.diagnostic(`phases ${phases} ms`);
  const steps = phases.map((phase, at) => (phases[at + 1] ?? (phases[0] ?? 0) + SLOT_MS) - phase);
  assert.ok(Math.max(...steps) < SLOT_MS / 2, `half of the grid is unused: ${phases}`);
});

/** The bot says five utterances, a pause after each. */
async function utterances(pace: Pace, ms: number): Promise<{ report: CallReport; delayMs: number[] }> {
  const callId = newCallId('utterances');
  const call = stack.phones.callOnce({ to: SILENT_BOT, callId, seconds: (5 * (ms + 600)) / 1000 + 1 });
  await stack.bot.wait(callId, 'answered');
  const beganAtMs: number[] = [];
  for (let i = 0; i < 5; i++) {
    beganAtMs.push(await stack.bot.say(callId, marker(ms), pace));
    await sleep(ms + 600);
  }
  const report = await call;
  expectCleanRtp(report);
  const heard = segmentsOf(report, MARKER_HZ).map(({ audioMs }) => audioMs);
  for (const audioMs of heard) expectNear('heard of an utterance', audioMs, ms, SLOT_MS);
  return { report, delayMs: delays(report, beganAtMs) };
}

test('an AI that sends early is heard within one slot of the grid, once that is known of it', async (t) => {
  const { report, delayMs } = await utterances(FAST, 600);
  t.diagnostic(`delays ${delayMs.map(Math.round)} ms`);
  const machineMs = report.spoke.spacingDeviationMs.max;
  assert.ok((delayMs[0] ?? Infinity) <= MAX_PREBUFFER_MS + SLOT_MS + TRANSIT_MS + machineMs);
  const later = delayMs.slice(2);
  assert.ok(median(later) <= SLOT_MS + TRANSIT_MS, `heard after ${later} ms`);
  assert.ok(Math.max(...later) <= SLOT_MS + TRANSIT_MS + machineMs, `heard after ${later} ms`);
});

test('an AI that speaks in steps of 137.5 ms is heard without a gap, and in time', async (t) => {
  const { report, delayMs } = await utterances(IN_STEPS, 1100);
  t.diagnostic(`delays ${delayMs.map(Math.round)} ms`);
  const machineMs = report.spoke.spacingDeviationMs.max;
  assert.ok(
    Math.max(...delayMs) <= MAX_PREBUFFER_MS + SLOT_MS + TRANSIT_MS + machineMs,
    `heard after ${delayMs} ms`,
  );
});

test('an AI that stops in mid-speech: silence meanwhile, all of it is heard, and the bridge counts one underrun', async (t) => {
  const callId = newCallId('hesitant');
  const call = stack.phones.callOnce({ to: SILENT_BOT, callId, seconds: 4 });
  await stack.bot.wait(callId, 'answered');
  await stack.bot.say(callId, marker(1000));
  await sleep(1250);
  await stack.bot.say(callId, marker(1000));
  const { heard } = await call;
  expectNear('heard', heardMs(heard, MARKER_HZ), 2000, SLOT_MS);
  const { playout } = await stack.figures(callId);
  const [gap, ...more] = gaps(heard);
  assert.deepEqual(more, []);
  t.diagnostic(`gap of ${gap?.audioMs} ms heard, ${playout.longestGapMs} ms counted`);
  expectNear('gap', gap?.audioMs, 250, 100);
  expectNear('gap in the record', playout.longestGapMs, gap?.audioMs ?? Number.NaN, SLOT_MS + TRANSIT_MS);
  assert.equal(playout.underruns, 1);
});

test('eight times the AI clears: within one slot nothing old is heard, and it is told to the ms how much was cut', async (t) => {
  const callId = newCallId('clear');
  const call = stack.phones.callOnce({ to: SILENT_BOT, callId, seconds: 7 });
  await stack.bot.wait(callId, 'answered');
  const after = Buffer.from(second(200)).toString('base64');
  for (let i = 0; i < 8; i++) {
    await stack.bot.say(callId, marker(5000), AT_ONCE);
    // Another place in the grid each time.
    await sleep(303);
    await stack.bot.send(callId, { event: 'clear' }, { event: 'media', payload: after });
    await sleep(400);
  }
  const report = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  expectNoViolations(bot);
  expectCleanRtp(report);
  const old = segmentsOf(report, MARKER_HZ);
  const fresh = segmentsOf(report, SECOND_HZ);
  assert.deepEqual([old.length, fresh.length, bot.cleared.length], [8, 8, 8]);
  const clears = bot.sent.events.filter(({ event }) => event === 'clear');
  const lateMs = old.map(
    ({ toMs }, at) =>
      toMs - SLOT_MS + (report.sip.answeredAtMs ?? Number.NaN) - (clears[at]?.atMs ?? Number.NaN),
  );
  t.diagnostic(`last old packet ${lateMs.map((ms) => ms.toFixed(1))} ms after the clear`);
  assert.ok(
    Math.max(...lateMs) <= SLOT_MS + report.spoke.spacingDeviationMs.max,
    `old audio ${lateMs} ms after the clear`,
  );
  assert.ok(median(lateMs) <= SLOT_MS);
  for (const [at, { ms }] of bot.cleared.entries()) {
    assert.equal((old[at]?.audioMs ?? 0) + ms, 5000, 'heard and cut');
    assert.ok((fresh[at]?.fromMs ?? 0) > (old[at]?.toMs ?? Infinity) - SLOT_MS, 'the new after the old');
    expectNear('the new', fresh[at]?.audioMs, 200, 1);
  }
});

test('what was sent before a clear and is still on its way is never heard', async () => {
  const callId = newCallId('fence');
  const call = stack.phones.callOnce({ to: SILENT_BOT, callId, seconds: 2 });
  await stack.bot.wait(callId, 'answered');
  const media = (audio: Uint8Array) => ({ event: 'media', payload: Buffer.from(audio).toString('base64') });
  await stack.bot.send(
    callId,
    media(marker(700)),
    media(marker(300)),
    { event: 'clear' },
    media(second(300)),
  );
  const { heard } = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(heardMs(heard, MARKER_HZ) + (bot.cleared[0]?.ms ?? Number.NaN), 1000);
  assert.ok(heardMs(heard, MARKER_HZ) <= SLOT_MS, 'a tick may have come between two messages');
  expectNear('the new', heardMs(heard, SECOND_HZ), 300, 1);
  expectGapless(heard);
});

test('a goodbye is heard byte for byte, to its last sample, and only then comes the BYE', async (t) => {
  const callId = newCallId('last-sample');
  await using phone = await Handset.call({ to: SILENT_BOT, callId, address: SECOND_PHONE }, stack.ports);
  // No sample is like its neighbours or like silence, and the last packet holds three of them.
  const words = Uint8Array.from({ length: 60 * FRAME + 3 }, (_, at) => (at * 37) % 120);
  await stack.bot.say(callId, words, FAST);
  await sleep(500);
  await stack.bot.send(callId, { event: 'hangup' });
  const byeAtMs = await phone.hungUpOn;
  const heard = phone.audio();
  const at = heard.indexOf(words);
  assert.notEqual(at, -1, 'the words as they were said');
  const last = phone.datagrams[Math.ceil((at + words.length) / FRAME) - 1];
  const restMs = byeAtMs - (last?.timeMs ?? Number.NaN);
  t.diagnostic(`BYE ${restMs.toFixed(1)} ms after the last sample`);
  assert.ok(restMs > 0 && restMs < TAIL_MS + 2 * SLOT_MS + 100, `BYE ${restMs} ms after the last sample`);
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
});

test('an AI that ends with two seconds of silence, as stock bots do, does not keep the caller waiting for them', async (t) => {
  const { sip, heard } = await stack.phones.callOnce({
    to: '122',
    callId: newCallId('silence'),
    seconds: 10,
  });
  const restMs = (sip.byeAfterAnswerMs ?? Number.NaN) - (heard.lastAudioMs ?? Number.NaN);
  t.diagnostic(`BYE ${restMs.toFixed(1)} ms after the last sound`);
  expectNear('heard', heardMs(heard, MARKER_HZ), 2000, 1);
  assert.ok(
    restMs > DRAIN_SILENCE_MS - SLOT_MS && restMs < DRAIN_SILENCE_MS + TAIL_MS + 200,
    `BYE ${restMs} ms after the last sound`,
  );
});
