import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeRtp } from './fake-rtp.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

const FRAME_MS = 20;
const FRAME_BYTES = 160;
const HEADER_BYTES = 44;
/** Mu-law bytes, and the samples that they stand for. */
const CALLER = { byte: 0x80, sample: 32_124 };
const BOT = { byte: 0x00, sample: -32_124 };
const SILENCE = 0xff;

/** A daemon that records to a directory of its own. */
async function startLab(t: TestContext, config: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'recordings-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return { lab: await Lab.start(t, { config: { RECORDINGS_DIR: directory, ...config } }), directory };
}

/** Every 20 ms a frame of the caller, one in `every` of them a mark; tells when each mark left. */
function speakAsCaller(rtp: FakeRtp, every: number): { readonly marksAtMs: number[]; stop(): void } {
  const marksAtMs: number[] = [];
  const beganMs = performance.now();
  let frames = 0;
  const timer = setInterval(() => {
    for (; beganMs + frames * FRAME_MS <= performance.now(); frames++) {
      const isMark = frames % every === every - 1;
      if (isMark) marksAtMs.push(performance.now());
      rtp.send(Buffer.alloc(FRAME_BYTES, isMark ? CALLER.byte : SILENCE));
    }
  }, 5);
  return { marksAtMs, stop: () => clearInterval(timer) };
}

function readRecording(directory: string) {
  const [name = '', ...others] = readdirSync(directory);
  assert.deepEqual(others, []);
  const file = readFileSync(join(directory, name));
  assert.equal(file.readUInt32LE(40), file.length - HEADER_BYTES);
  const samples = (side: 0 | 1) =>
    Int16Array.from({ length: (file.length - HEADER_BYTES) / 4 }, (_, i) =>
      file.readInt16LE(HEADER_BYTES + 4 * i + 2 * side),
    );
  const left = samples(0);
  const right = samples(1);
  return { name, left, right, callerMarks: marks(left, CALLER.sample), botMarks: marks(right, BOT.sample) };
}

/** Where runs of a sample begin, ms. */
function marks(samples: Int16Array, sample: number): number[] {
  return [...samples.keys()]
    .filter((i) => samples[i] === sample && samples[i - 1] !== sample)
    .map((i) => i / 8);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

test('a recorded call has caller and bot on a side each, in step, and says so to its bot and in the log', async (t) => {
  const { lab, directory } = await startLab(t);
  const { channel, session } = await lab.call({ variables: { X_RECORD: 'on' } });
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => session.of('recording')[0]?.state === 'on', 'the bot knows');
  assert.equal(await until(async () => (await lab.metric('recordings_active')) === 1, 'gauge'), true);
  const caller = speakAsCaller(rtp, 25);
  for (let i = 0; i < 8; i++) {
    session.speak(Buffer.alloc(FRAME_BYTES, BOT.byte));
    await new Promise((resolve) => setTimeout(resolve, 430));
  }
  caller.stop();
  lab.ari.hangUp(channel.id);
  const ended = (await lab.ended()) as unknown as {
    figures: { recording: { lengthMs: number; droppedMs: number } };
  };
  const { callerMarks, botMarks, left } = readRecording(directory);
  const botAtMs = rtp.heard.filter(({ payload }) => payload[0] === BOT.byte).map(({ atMs }) => atMs);
  assert.equal(botMarks.length, 8);
  assert.equal(callerMarks.length, caller.marksAtMs.length);
  // Each side has its own clock here: the difference between file and reality must be the same on
  // both sides.
  const botOff = median(botMarks.map((at, i) => (botAtMs[i] as number) - at));
  const callerOff = median(callerMarks.map((at, i) => (caller.marksAtMs[i] as number) - at));
  assert.ok(Math.abs(botOff - callerOff) < 20, `${botOff - callerOff} ms out of step`);
  const spread = callerMarks.map((at, i) => Math.abs((caller.marksAtMs[i] as number) - at - callerOff));
  assert.ok(median(spread) < 5, `marks of the caller off by ${spread}`);
  assert.equal(ended.figures.recording.droppedMs, 0);
  // The figures are taken while the last ticks are still to come.
  const laterMs = left.length / 8 - ended.figures.recording.lengthMs;
  assert.ok(laterMs >= 0 && laterMs < 500, `${laterMs} ms`);
  await until(async () => (await lab.metric('recordings_active')) === 0, 'gauge back');
});

test('what a clear cut off is not in the recording', async (t) => {
  const { lab, directory } = await startLab(t);
  const { channel, session } = await lab.call({ variables: { X_RECORD: 'on' } });
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(Buffer.alloc(50 * FRAME_BYTES, BOT.byte));
  await until(() => rtp.speech().length > 5 * FRAME_BYTES, 'the bot is heard');
  session.send({ event: 'clear' });
  await until(() => session.of('cleared').length === 1, 'cleared');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const { right } = readRecording(directory);
  assert.equal(right.filter((sample) => sample === BOT.sample).length, rtp.speech().length);
});

test('the bot pauses and resumes; what is heard meanwhile is silence, and time goes on', async (t) => {
  const { lab, directory } = await startLab(t);
  const { channel, session } = await lab.call({ variables: { X_RECORD: 'on' } });
  const rtp = lab.ari.mediaOf(channel.id);
  const heard = (frames: number) =>
    until(() => rtp.speech().length === frames * FRAME_BYTES, `${frames} frames heard`);
  session.speak(Buffer.alloc(5 * FRAME_BYTES, BOT.byte));
  await heard(5);
  session.send({ event: 'recording', state: 'pause' });
  await until(() => session.of('recording').at(-1)?.state === 'paused', 'paused');
  session.speak(Buffer.alloc(10 * FRAME_BYTES, BOT.byte));
  await heard(15);
  session.send({ event: 'recording', state: 'pause' });
  await until(() => session.of('recording').length === 3, 'answered again');
  session.send({ event: 'recording', state: 'resume' });
  await until(() => session.of('recording').at(-1)?.state === 'on', 'resumed');
  session.speak(Buffer.alloc(5 * FRAME_BYTES, BOT.byte));
  await heard(20);
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const { botMarks, right } = readRecording(directory);
  assert.equal(right.filter((sample) => sample === BOT.sample).length, 10 * FRAME_BYTES);
  assert.equal(botMarks.length, 2);
  const first = rtp.heard.findIndex(({ payload }) => payload[0] === BOT.byte);
  const third = rtp.heard.findLastIndex(({ payload }) => payload[0] === BOT.byte) - 4;
  const packets = (rtp.heard[third]?.timestamp ?? 0) - (rtp.heard[first]?.timestamp ?? 0);
  assert.equal((botMarks[1] as number) - (botMarks[0] as number), (packets >>> 0) / 8);
});

test('a call that is not to be recorded is not, and its bot is told when it asks', async (t) => {
  const { lab, directory } = await startLab(t);
  const { channel, session } = await lab.call();
  session.send({ event: 'recording', state: 'resume' });
  await until(() => session.of('recording').length === 1, 'answered');
  assert.equal(session.of('recording')[0]?.state, 'off');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.deepEqual(readdirSync(directory), []);
});

test('the API pauses and resumes a recording: what is said meanwhile is not in it', async (t) => {
  const { lab, directory } = await startLab(t, { API_TOKEN });
  const { channel, session } = await lab.call({ variables: { X_RECORD: 'on', X_CALL_ID: 'c-1' } });
  const rtp = lab.ari.mediaOf(channel.id);
  const say = async (bytes: number) => {
    session.speak(Buffer.alloc(5 * FRAME_BYTES, BOT.byte));
    await until(() => rtp.speech().length >= bytes, 'heard');
  };
  await until(() => session.of('recording')[0]?.state === 'on', 'the bot knows');
  const set = (state: string) => api(lab, 'POST', '/calls/c-1/recording', { state });
  await say(5 * FRAME_BYTES);
  assert.deepEqual((await set('pause')).body, { state: 'paused' });
  await say(10 * FRAME_BYTES);
  assert.deepEqual((await set('resume')).body, { state: 'on' });
  await say(15 * FRAME_BYTES);
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.equal(readRecording(directory).botMarks.length, 2);
});

test('a provider’s file says that its calls are recorded once the bot resumes it', async (t) => {
  const providers = providersDirectory(t, 'RECORDING=paused\n');
  const { lab, directory } = await startLab(t, { PROVIDERS_DIR: providers });
  const { channel, session } = await lab.call();
  await until(() => session.of('recording')[0]?.state === 'paused', 'paused');
  session.send({ event: 'recording', state: 'resume' });
  await until(() => session.of('recording')[1]?.state === 'on', 'on');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.equal(readdirSync(directory).length, 1);
});

test('a call goes on where its recording cannot be written; that is said and counted', async (t) => {
  const { lab, directory } = await startLab(t, {});
  rmSync(directory, { recursive: true });
  writeFileSync(directory, 'a file where a directory should be');
  const { channel, session } = await lab.call({
    variables: { X_RECORD: 'on', X_CALL_ID: '../../../etc/passwd' },
  });
  await until(() => session.of('recording')[0]?.state === 'failed', 'the bot knows');
  session.speak(Buffer.alloc(5 * FRAME_BYTES, BOT.byte));
  await until(() => lab.ari.mediaOf(channel.id).speech().length === 5 * FRAME_BYTES, 'heard');
  await until(async () => (await lab.metric('recordings_failed_total')) === 1, 'counted');
  assert.match((await lab.get('/readyz')).body, /recordings may have gaps or end early/);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  assert.equal(lab.logged('recording failed, the call goes on').length, 1);
});
