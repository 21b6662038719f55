import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Disk } from './disk.ts';
import { Recorder, type RecordingSettings } from './recorder.ts';
import { Retention } from './retention.ts';
import { WAV_HEADER_BYTES, wavHeader } from './wav.ts';

const FRAME = Buffer.alloc(160, 7);
const LINE = {
  sampleRate: 8_000,
  bytesPerSample: 1,
  botDelayMs: 0,
  readSample: (source: Buffer, at: number) => source[at] as number,
};
const SECOND_BYTES = 32_000;

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'recorder-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function start(settings: Partial<RecordingSettings> & { path: string }) {
  const disk = new Disk();
  const states: string[] = [];
  const recorder = new Recorder({ paused: false, maxBytes: 1e9, ...settings }, LINE, disk, (state, detail) =>
    states.push(detail === undefined ? state : `${state} ${detail}`),
  );
  let ticks = 0;
  const play = (frames: number) => {
    for (let i = 0; i < frames; i++, ticks++) recorder.played(FRAME, 0, 0, ticks * 20);
  };
  /** All that was under way is on the disk. */
  const written = () => disk.do(async () => {});
  return { recorder, disk, states, play, written };
}

test('a file grows by the second, and plays at any moment', async (t) => {
  const path = join(directory(t), 'below', 'a.wav');
  const { recorder, disk, states, play, written } = start({ path });
  await written();
  assert.deepEqual(readFileSync(path), wavHeader(8_000, 0));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(states, ['on']);
  play(140);
  await written();
  const live = readFileSync(path);
  assert.deepEqual(live.subarray(0, WAV_HEADER_BYTES), wavHeader(8_000, 2 * SECOND_BYTES));
  assert.equal(live.length, WAV_HEADER_BYTES + 2 * SECOND_BYTES);
  assert.deepEqual([...live.subarray(WAV_HEADER_BYTES, WAV_HEADER_BYTES + 4)], [0, 0, 7, 0]);
  assert.equal(disk.stats.active, 1);
  await recorder.close();
  const whole = readFileSync(path);
  assert.deepEqual(whole.subarray(0, WAV_HEADER_BYTES), wavHeader(8_000, 2.8 * SECOND_BYTES));
  assert.equal(whole.length, WAV_HEADER_BYTES + 2.8 * SECOND_BYTES);
  assert.deepEqual(disk.stats, { active: 0, bytes: 2.8 * SECOND_BYTES, droppedMs: 0, failures: 0 });
  assert.deepEqual(recorder.figures, { state: 'on', lengthMs: 2_800, droppedMs: 0 });
});

test('one that begins paused is silence until it is resumed', async (t) => {
  const path = join(directory(t), 'a.wav');
  const { recorder, states, play, written } = start({ path, paused: true });
  await written();
  play(50);
  recorder.resume();
  play(50);
  await recorder.close();
  const audio = readFileSync(path).subarray(WAV_HEADER_BYTES);
  assert.equal(audio.indexOf(7), SECOND_BYTES + 2);
  assert.deepEqual(states, ['paused', 'on']);
});

test('audio after the close makes no file: nobody would close it', async (t) => {
  const folder = directory(t);
  writeFileSync(join(folder, 'below'), '');
  const { recorder, disk, play, written } = start({ path: join(folder, 'below', 'a.wav') });
  await recorder.close();
  rmSync(join(folder, 'below'));
  play(140);
  await written();
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(disk.stats.active, 0);
});

test('a file that cannot be made is said once, tried again, and silent where it was not there', async (t) => {
  const folder = directory(t);
  writeFileSync(join(folder, 'below'), '');
  const path = join(folder, 'below', 'a.wav');
  const { recorder, disk, states, play, written } = start({ path });
  play(80);
  await written();
  assert.deepEqual(states, ['failed EEXIST']);
  rmSync(join(folder, 'below'));
  play(50);
  await recorder.close();
  assert.deepEqual(states, ['failed EEXIST', 'on']);
  const file = readFileSync(path);
  assert.equal(file.length, WAV_HEADER_BYTES + 2.6 * SECOND_BYTES);
  assert.equal(file.indexOf(7), WAV_HEADER_BYTES + SECOND_BYTES + 2);
  assert.deepEqual([disk.stats.droppedMs, disk.stats.failures, disk.stats.active], [1_000, 1, 0]);
  assert.equal(recorder.figures.droppedMs, 1_000);
});

test('a file that exists already is not touched', async (t) => {
  const path = join(directory(t), 'a.wav');
  writeFileSync(path, 'somebody else’s');
  const { recorder, states } = start({ path });
  await recorder.close();
  assert.deepEqual(states, ['failed EEXIST']);
  assert.equal(readFileSync(path, 'utf8'), 'somebody else’s');
});

test('a file as large as it may be grows no more', async (t) => {
  const path = join(directory(t), 'a.wav');
  const { recorder, disk, states, play, written } = start({ path, maxBytes: 70_000 });
  await written();
  play(250);
  await recorder.close();
  assert.equal(statSync(path).size, WAV_HEADER_BYTES + 2 * SECOND_BYTES);
  assert.deepEqual(states, ['on', 'failed the file is as large as it may be']);
  assert.deepEqual([disk.stats.droppedMs, disk.stats.failures], [3_000, 1]);
});

test('a disk that hangs costs audio and memory of eight seconds, and the end of a call a second', async (t) => {
  const path = join(directory(t), 'a.wav');
  const { recorder, disk, play } = start({ path });
  const hanging = Promise.withResolvers<void>();
  void disk.do(() => hanging.promise);
  play(50 * 20);
  const beganMs = performance.now();
  await recorder.close();
  assert.ok(performance.now() - beganMs < 3_000);
  assert.equal(disk.stats.droppedMs, 12_000);
  hanging.resolve();
  await disk.do(async () => {});
  assert.equal(statSync(path).size, WAV_HEADER_BYTES + 8 * SECOND_BYTES);
  assert.equal(disk.stats.active, 0);
});

test('recordings too old are removed, and nothing else', async (t) => {
  const folder = directory(t);
  const old = '20200101T000000Z-00ff00ff00ff00ff.wav';
  const fresh = '20261122T134601Z-00ff00ff00ff00ff.wav';
  for (const name of [old, fresh, 'notes.txt']) writeFileSync(join(folder, name), 'abc');
  for (const name of [old, 'notes.txt']) utimesSync(join(folder, name), 1e9, 1e9);
  const removed: string[][] = [];
  const limits = { maxTotalBytes: 0, maxAgeMs: 86_400_000 };
  const onError = (error: Error) => assert.fail(error);
  const options = {
    ...limits,
    directory: folder,
    onRemoved: (names: readonly string[]) => removed.push([...names]),
    onError,
  };
  const retention = new Retention(options);
  await Promise.all([retention.sweep(), retention.sweep()]);
  assert.deepEqual(removed, [[old]]);
  assert.deepEqual(readdirSync(folder).sort(), [fresh, 'notes.txt']);
  assert.equal(retention.storedBytes, 3);
});

test('where there is no directory there is nothing to remove', async () => {
  const onError = (error: Error) => assert.fail(error);
  const retention = new Retention({
    directory: '/does/not/exist',
    maxTotalBytes: 1,
    maxAgeMs: 1,
    onRemoved: () => {},
    onError,
  });
  await retention.sweep();
  assert.equal(retention.storedBytes, 0);
});

test('a disk that is nearly full is said until there is room again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'retention-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const options = { directory: folder, maxTotalBytes: 0, maxAgeMs: 0, onRemoved: () => {} };
  const onError = (error: Error) => assert.fail(error);
  const full = new Retention({ ...options, onError, freeMinBytes: Number.MAX_SAFE_INTEGER });
  await full.sweep();
  assert.match(full.problem ?? '', /^\d+ MB are left/);
  const roomy = new Retention({ ...options, onError, freeMinBytes: 0 });
  await roomy.sweep();
  assert.equal(roomy.problem, undefined);
  const errors: Error[] = [];
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const broken = new Retention({ ...options, directory: join(file, 'x'), onError: (e) => errors.push(e) });
  await broken.sweep();
  assert.match(broken.problem ?? '', /ENOTDIR/);
  assert.equal(errors.length, 1);
});

test('recordings that failed are spoken of for ten minutes', () => {
  const options = { directory: '/does/not/exist', maxTotalBytes: 0, maxAgeMs: 0 };
  const retention = new Retention({ ...options, onRemoved: () => {}, onError: () => {} });
  const said = ([total, ms]: [number, number]) => retention.recentFailures(total, ms) !== undefined;
  const asked: [number, number][] = [
    [0, 0],
    [2, 1_000],
    [2, 600_000],
    [2, 601_001],
    [3, 700_000],
  ];
  assert.deepEqual(asked.map(said), [false, true, true, false, true]);
});
