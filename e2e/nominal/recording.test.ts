import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Burst, bursts, readRecording, recordingNames } from '../hands/recordings.ts';
import { CALLER_HZ, encodeUlaw, MARKER_HZ, tone } from '../mock-pipecat/src/tones.ts';
import { only } from '../phones/phones.ts';
import type { StreamReport } from '../sipp/stream.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { FINTECH, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;
const WORD_MS = 300;
const WORD = Buffer.from(encodeUlaw(tone(MARKER_HZ, WORD_MS, 8000))).toString('base64');
/** The sides may be so far out of step. */
const STEP_MS = 20;

/** Places a recorded call to a person, with a bot that only says what it is told to. */
async function recordedCall(about: string, phone: Record<string, number>, variables = {}) {
  const before = await recordingNames(stack);
  const callId = newCallId(about);
  const { output } = await stack.phones.listen({ local: LOCAL, ...phone });
  await stack.ari.originate({
    to: '777108@pb_fintech',
    callId,
    variables: { X_RECORD: 'on', ...variables },
  });
  await stack.bot.wait(callId, 'answered');
  const read = async (filesMax = 1) => {
    const [name = '', ...others] = (await recordingNames(stack))
      .filter((one) => !before.includes(one))
      .sort();
    assert.ok(others.length < filesMax, `${others.length + 1} files`);
    return await readRecording(stack, name);
  };
  return { callId, output, read };
}

async function say(callId: string, words: number, payload = WORD): Promise<void> {
  for (let i = 0; i < words; i++) {
    await stack.bot.send(callId, { event: 'media', payload });
    await sleep(2 * WORD_MS);
  }
}

/**
 * When the tone began on the wire, each time, in ms after the answer. An interruption below 100 ms
 * does not end it.
 */
function began({ segments }: StreamReport, hz: number): number[] {
  const tones = segments.filter(({ sound }) => sound === hz);
  return tones
    .filter(({ fromMs }, i) => fromMs - (tones[i - 1]?.toMs ?? -1e9) > 100)
    .map(({ fromMs }) => fromMs);
}

/** How far the beginnings in the file are from those on the wire. */
function distances(side: readonly Burst[], wireMs: readonly number[]): number[] {
  return side.map(({ fromMs }, i) => fromMs - (wireMs[i] ?? Number.NaN));
}

const FORMATS = [
  { encoding: 'pcmu', rate: 8_000, transport: 'rtp' },
  { encoding: 'pcm16', rate: 16_000, transport: 'websocket' },
];
for (const { encoding, rate, transport } of FORMATS) {
  test(`by ${transport} at ${rate} Hz each side holds its own tone, as it was on the wire, in step with the other`, async () => {
    const phone = { seconds: 8, quietMs: 400, speakMs: 600 };
    const variables = { X_CODEC: encoding, X_SR: String(rate), X_TRANSPORT: transport };
    const { callId, output, read } = await recordedCall(`record-${rate}`, phone, variables);
    const samples = tone(MARKER_HZ, WORD_MS, rate);
    const word = encoding === 'pcmu' ? encodeUlaw(samples) : samples;
    await say(callId, 9, Buffer.from(word.buffer).toString('base64'));
    const report = only(await output);
    expectNoViolations(await stack.bot.wait(callId, 'closed'));
    const { sampleRate, left, right } = await read();
    assert.equal(sampleRate, rate);
    const caller = bursts(left, rate);
    const bot = bursts(right, rate);
    assert.deepEqual([...new Set(caller.map(({ hz }) => hz))], [CALLER_HZ]);
    assert.deepEqual([...new Set(bot.map(({ hz }) => hz))], [MARKER_HZ]);
    assert.ok(caller.length >= 7, `${caller.length} words of the caller`);
    assert.equal(bot.length, 9);
    // A tick that was missed makes it longer.
    for (const { fromMs, toMs } of bot) expectNear('a word of the bot', toMs - fromMs, WORD_MS + 20, 25);
    const off = [
      ...distances(caller, began(report.spoke, CALLER_HZ)),
      ...distances(bot, began(report.heard, MARKER_HZ)),
    ];
    const apart = Math.max(...off) - Math.min(...off);
    assert.ok(apart <= STEP_MS, `out of step by ${apart} ms: ${off.map((ms) => ms.toFixed(1))}`);
    expectNear('length', (left.length / rate) * 1000, 8000, 300);
  });
}

test('what is said while the bot has paused the recording is not in it, and the rest is where it was', async () => {
  const { callId, output, read } = await recordedCall('record-pause', { seconds: 6 });
  await say(callId, 2);
  await stack.bot.send(callId, { event: 'recording', state: 'pause' });
  await say(callId, 2);
  await stack.bot.send(callId, { event: 'recording', state: 'resume' });
  await say(callId, 2);
  const report = only(await output);
  const { left, right } = await read();
  const caller = bursts(left, 8000);
  const bot = bursts(right, 8000);
  const wire = began(report.heard, MARKER_HZ);
  assert.equal(wire.length, 6);
  assert.equal(bot.length, 4);
  const kept = [0, 1, 4, 5].map((i) => wire[i] ?? Number.NaN);
  const off = distances(bot, kept);
  assert.ok(Math.max(...off) - Math.min(...off) <= STEP_MS, `off by ${off}`);
  assert.equal(caller.length, 2);
  const pausedMs = (caller[1]?.fromMs ?? 0) - (caller[0]?.toMs ?? 0);
  expectNear('pause', pausedMs, 4 * WORD_MS, 150);
});

test('a bridge that is killed leaves a file that plays to within two seconds of its death', async () => {
  const { callId, output, read } = await recordedCall('record-kill', { seconds: 6 });
  await say(callId, 7);
  await stack.killPart('bridge');
  await stack.startPart('bridge');
  await stack.ready();
  await output;
  // The call may go on with the next bridge, which records it to a file of its own.
  const { left, right } = await read(2);
  const seconds = left.length / 8000;
  assert.ok(seconds >= 2 && seconds <= 5, `${seconds} s of some 4.2`);
  assert.ok(bursts(right, 8000).length >= 3);
  assert.equal(bursts(left, 8000)[0]?.hz, CALLER_HZ);
  await until('nothing is left of the call', 10_000, async () => (await stack.ari.channels()).length === 0);
});
