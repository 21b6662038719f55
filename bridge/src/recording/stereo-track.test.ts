import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StereoTrack } from './stereo-track.ts';

const FRAME_MS = 20;
const PER_MS = 8;
/** Values of the samples: marks are found again by them. */
const CALLER_MARK = 100;
const BOT_MARK = 50;
const QUIET = 1;

function frame(value: number, samples = FRAME_MS * PER_MS): Buffer {
  return Buffer.alloc(samples, value);
}

/**
 * A track whose samples are the bytes unchanged, and its output: caller and bot, each sample by its
 * position.
 */
class Tape {
  readonly blocks: number[] = [];
  readonly sides: [number[], number[]] = [[], []];
  readonly track: StereoTrack;

  constructor(botDelayMs = 0) {
    this.track = new StereoTrack({
      sampleRate: 8_000,
      bytesPerSample: 1,
      botDelayMs,
      readSample: (source, at) => source[at] as number,
      onAudio: (audio, from) => {
        assert.equal(from, this.sides[0].length);
        this.blocks.push(audio.length / 4);
        for (let at = 0; at < audio.length; at += 4) {
          this.sides[0].push(audio.readInt16LE(at));
          this.sides[1].push(audio.readInt16LE(at + 2));
        }
      },
    });
  }

  /** Where the marks of a side begin, ms. */
  marks(side: 0 | 1): number[] {
    const value = side === 0 ? CALLER_MARK : BOT_MARK;
    const samples = this.sides[side];
    return samples.flatMap((sample, at) =>
      sample === value && samples[at - 1] !== value ? [at / PER_MS] : [],
    );
  }
}

/** What the caller's side is like in `run`. */
interface Caller {
  /** Its second is so much longer than ours. */
  readonly drift?: number;
  /** How late its frame arrives, ms. */
  readonly lateMs?: (frame: number) => number;
  /** The timestamp of its frame, ms; -1: the frame never comes. */
  readonly timestampMs?: (frame: number) => number;
}

/**
 * Runs a call of `seconds`: once a second a frame with a mark on each side, both as close as
 * possible to the same moment of our clock.
 */
function run(
  tape: Tape,
  seconds: number,
  caller: Caller = {},
  skip: (tick: number) => boolean = () => false,
) {
  const { drift = 0, lateMs = () => 0, timestampMs = (n) => n * FRAME_MS } = caller;
  const events: { atMs: number; happen: () => void }[] = [];
  const ticks = (seconds * 1000) / FRAME_MS;
  let skipped = 0;
  const sent: number[] = [];
  const came: number[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    const atMs = 1000 + tick * FRAME_MS;
    const value = tick % 50 === 25 ? BOT_MARK : QUIET;
    if (skip(tick)) {
      skipped++;
      continue;
    }
    const missed = skipped;
    skipped = 0;
    if (value === BOT_MARK) sent.push(atMs - 1000);
    events.push({ atMs, happen: () => tape.track.played(frame(value), 0, missed, atMs) });
    const at = timestampMs(tick);
    if (at < 0) continue;
    const dueMs = 1000 + tick * FRAME_MS * (1 + drift) + 0.5;
    const arrivalMs = dueMs + lateMs(tick);
    const callerValue = tick % 50 === 25 ? CALLER_MARK : QUIET;
    if (callerValue === CALLER_MARK) came.push(dueMs - 1000);
    events.push({
      atMs: arrivalMs,
      happen: () => tape.track.heard(frame(callerValue), 0, 160, at, arrivalMs, arrivalMs),
    });
  }
  for (const { happen } of events.sort((a, b) => a.atMs - b.atMs)) happen();
  tape.track.finish();
  return { sent, came };
}

function near(found: number[], expected: number[], tolerance: number, from = 0): void {
  assert.equal(found.length, expected.length, `marks at ${found}`);
  for (const [i, at] of found.entries())
    if (i >= from)
      assert.ok(Math.abs(at - (expected[i] as number)) <= tolerance, `${at} instead of ${expected[i]} ms`);
}

test('what was sent lies where its tick was, what was received where it came', () => {
  const tape = new Tape();
  const { sent, came } = run(tape, 5);
  assert.deepEqual(tape.marks(1), sent);
  near(tape.marks(0), came, 1);
  assert.equal(tape.sides[0].length, 5 * 8_000);
});

test('audio is handed over by the second, and the rest at the end', () => {
  const tape = new Tape();
  run(tape, 4.2);
  assert.deepEqual(tape.blocks, [8000, 8000, 8000, 8000, 1600]);
});

test('ticks that were skipped are silence, and what follows is where it belongs', () => {
  const tape = new Tape();
  const { sent } = run(tape, 5, {}, (tick) => tick >= 60 && tick < 70);
  assert.deepEqual(tape.marks(1), sent);
  assert.deepEqual(
    tape.sides[1].slice(60 * 160, 70 * 160).filter((sample) => sample !== 0),
    [],
  );
});

for (const drift of [0.0005, -0.0005]) {
  test(`in ten minutes with clocks that drift by ${drift * 1e6} ppm and 30 ms of jitter both sides stay in step`, () => {
    const tape = new Tape();
    const { sent, came } = run(tape, 600, { drift, lateMs: (n) => (n * 7919) % 31 });
    assert.deepEqual(tape.marks(1), sent);
    near(tape.marks(0), came, 12);
  });
}

test('a first packet that came late puts the others off their place for less than two seconds', () => {
  const tape = new Tape();
  const { came } = run(tape, 6, { lateMs: (n) => (n === 0 ? 60 : 0) });
  near(tape.marks(0), came, 6, 2);
});

test('a new stream that begins after silence is put where it comes', () => {
  const tape = new Tape();
  // No frame for 140 ms; the receiver then says by its timestamp how much time has passed.
  const { came } = run(tape, 5, { timestampMs: (n) => (n >= 100 && n < 107 ? -1 : n * FRAME_MS) });
  near(tape.marks(0), came, 1);
});

test('a pause in which the caller’s time stood still is silence: what follows is where it comes', () => {
  const tape = new Tape();
  const { came } = run(tape, 8, {
    timestampMs: (n) => (n >= 80 && n < 170 ? -1 : (n < 80 ? n : n - 90) * FRAME_MS),
  });
  near(tape.marks(0), came, 1);
});

test('silence put in for a pause, late as it is, leaves what follows in its place', () => {
  const tape = new Tape();
  tape.track.played(frame(QUIET), 0, 0, 0);
  let timestampMs = 0;
  for (let tick = 1; tick <= 1000; tick++) {
    const nowMs = tick * FRAME_MS;
    tape.track.played(frame(QUIET), 0, 0, nowMs);
    if (tick < 100) {
      tape.track.heard(frame(QUIET), 0, 160, timestampMs, nowMs, nowMs);
      timestampMs += FRAME_MS;
    } else if (tick >= 110 && tick < 900) {
      tape.track.heard(frame(0), 0, 160, timestampMs, 99 * FRAME_MS, nowMs);
      timestampMs += FRAME_MS;
    } else if (tick >= 900) {
      for (; timestampMs < (tick - 1) * FRAME_MS; timestampMs += FRAME_MS)
        tape.track.heard(frame(0), 0, 160, timestampMs, nowMs, nowMs);
      const value = tick === 900 ? CALLER_MARK : QUIET;
      tape.track.heard(frame(value), 0, 160, timestampMs, nowMs, nowMs);
      timestampMs += FRAME_MS;
    }
  }
  tape.track.finish();
  near(tape.marks(0), [900 * FRAME_MS], 1);
});

test('while it is paused both sides are silent, and time goes on', () => {
  const tape = new Tape();
  const { track } = tape;
  for (let tick = 0; tick < 150; tick++) {
    track.paused = tick >= 50 && tick < 100;
    track.played(frame(BOT_MARK), 0, 0, tick * FRAME_MS);
    track.heard(frame(CALLER_MARK), 0, 160, tick * FRAME_MS, tick * FRAME_MS, tick * FRAME_MS);
  }
  track.finish();
  assert.deepEqual(tape.marks(1), [0, 2000]);
  near(tape.marks(0), [0, 2000], 1);
  assert.equal(tape.sides[1].filter((sample) => sample === BOT_MARK).length, 100 * 160);
  assert.ok(Math.abs(tape.sides[0].filter((sample) => sample === CALLER_MARK).length - 100 * 160) <= 160);
});

test('audio far out of its time is left out and counted, and harms nothing', () => {
  const { track } = new Tape();
  for (let tick = 0; tick < 200; tick++) track.played(frame(QUIET), 0, 0, tick * FRAME_MS);
  track.heard(frame(QUIET), 0, 160, 0, 100, 100);
  assert.equal(track.lateSamples, 160);
  track.heard(frame(QUIET), 0, 160, 20, 1e9, 1e9);
  track.heard(frame(QUIET, 3200), 0, 3200, 40, 4000, 4000);
  track.finish();
});

test('where what leaves is heard later, it lies there, and what a clear kept from being heard is not in it', () => {
  const tape = new Tape(50);
  const { track } = tape;
  for (let tick = 0; tick < 100; tick++) {
    track.played(frame(tick < 20 || tick >= 60 ? BOT_MARK : QUIET), 0, 0, tick * FRAME_MS);
    if (tick === 19) track.flushed();
  }
  track.finish();
  assert.deepEqual(tape.marks(1), [50, 60 * FRAME_MS + 50]);
  assert.equal(tape.sides[1].lastIndexOf(BOT_MARK, 30 * 160), 20 * 160 - 1);
});
