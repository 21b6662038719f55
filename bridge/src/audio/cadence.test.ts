import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cadence } from './cadence.ts';
import { PlayoutQueue } from './playout-queue.ts';

const FRAME_MS = 20;

/** A bot's message: when it comes, counted from its utterance, and the audio in it, ms. */
type Arrival = [atMs: number, audioMs: number];

/**
 * Plays utterances one second apart to a queue. Returns for each how long its first audio waited
 * (ms) and how often the queue ran empty during it.
 */
function play(utterances: Arrival[][], prebufferMs: number | 'adaptive' = 'adaptive') {
  const queue = new PlayoutQueue({
    bytesPerFrame: 160,
    frameMs: FRAME_MS,
    silence: 0xff,
    prebufferMs,
    maxMs: 120_000,
    onMark: () => {},
    onDrained: () => {},
  });
  const target = Buffer.alloc(160);
  const speech = Buffer.alloc(8 * 10_000, 1);
  const result: { waitedMs: number; underruns: number }[] = [];
  let tick = 0;
  for (const utterance of utterances) {
    const begin = tick * FRAME_MS + 3;
    const before = queue.stats.underruns;
    let next = 0;
    let waitedMs = -1;
    const end = () => next === utterance.length && queue.queuedMs === 0;
    for (let pause = 0; pause < 50; pause = end() ? pause + 1 : 0) {
      const now = tick++ * FRAME_MS;
      for (let at = utterance[next]; at !== undefined && begin + at[0] <= now; at = utterance[++next])
        queue.write(speech, 0, at[1] * 8, begin + at[0]);
      if (queue.read(target, 0, now) === 'audio' && waitedMs < 0)
        waitedMs = now - begin - (utterance[0]?.[0] ?? 0);
    }
    result.push({ waitedMs, underruns: queue.stats.underruns - before });
  }
  return { result, queue };
}

/**
 * Messages of `audioMs` for `totalMs`: the first `lead` messages at once, each delayed as `late`
 * says.
 */
function steps(
  audioMs: number,
  totalMs: number,
  lead: number,
  late: (i: number) => number = () => 0,
): Arrival[] {
  let at = 0;
  return Array.from({ length: Math.ceil(totalMs / audioMs) }, (_, i) => {
    // A connection keeps their order.
    at = Math.max(at, Math.max(0, (i - lead) * audioMs) + late(i));
    return [at, audioMs];
  });
}

const times = <T>(count: number, of: (i: number) => T) => Array.from({ length: count }, (_, i) => of(i));

/** 137.5 ms of audio on a grid of 40 ms: gaps of 120 and 160 ms. */
const stock: Arrival[] = times(60, (i) => [Math.ceil((i * 137.5) / 40) * 40, 137.5]);

function seeded(seed: number) {
  return () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
}

describe('the adaptive pre-buffer', () => {
  test('is 60 ms for the first words of an unknown bot', () => {
    assert.equal(new Cadence().delayMs, 60);
    const { result } = play([steps(40, 400, 0)]);
    assert.ok((result[0]?.waitedMs ?? 0) >= 60 && (result[0]?.waitedMs ?? 0) < 80);
  });

  test('is 0 from the second utterance on for bots ahead of real time: with lead, twice, or 3.5 times as fast', () => {
    const fast = (speed: number): Arrival[] => times(50, (i) => [(i * 40) / speed, 40]);
    for (const bot of [
      steps(40, 2000, 1),
      steps(137.5, 4000, 1),
      fast(2),
      fast(3.5),
      [[0, 5000] as Arrival, [1, 5000] as Arrival],
    ]) {
      const { result, queue } = play(times(5, () => bot));
      assert.equal(queue.prebufferMs, 0);
      assert.equal(queue.stats.underruns, 0);
      for (const { waitedMs } of result.slice(1)) assert.ok(waitedMs < FRAME_MS, `waited ${waitedMs} ms`);
    }
  });

  test('plays steps of 137.5 ms and of 40 ms without a gap, and waits no longer than it must', () => {
    for (const [bot, mostMs] of [
      [stock, 50],
      [steps(40, 8000, 0), 15],
    ] as const) {
      const { queue } = play(times(10, () => bot));
      assert.equal(queue.stats.underruns, 0);
      assert.ok(queue.prebufferMs > 0 && queue.prebufferMs <= mostMs, `${queue.prebufferMs} ms`);
    }
  });

  test('settles where a bot with jitter plays without a gap', () => {
    for (const jitterMs of [20, 50, 80]) {
      const random = seeded(jitterMs);
      const { result, queue } = play(times(20, () => steps(40, 6000, 0, () => random() * jitterMs)));
      const late = result.slice(2).reduce((sum, { underruns }) => sum + underruns, 0);
      assert.ok(late <= 1, `${late} gaps in 18 utterances at ${jitterMs} ms`);
      assert.ok(queue.prebufferMs <= jitterMs + 15, `${queue.prebufferMs} ms for ${jitterMs}`);
    }
  });

  test('grows after an underrun, and shrinks slowly in good times', () => {
    const cadence = new Cadence();
    let now = 0;
    const speak = (count: number) => {
      for (let i = 0; i < count; i++, now += 40) cadence.arrived(40, now, false);
    };
    speak(60);
    assert.equal(cadence.delayMs, 10);
    now += 70;
    speak(1);
    assert.equal(cadence.delayMs, 80);
    // Primed anew: what was late is late no more.
    cadence.arrived(40, now, true);
    now += 40;
    speak(25);
    assert.ok(cadence.delayMs > 40);
    speak(4000);
    assert.ok(cadence.delayMs >= 10 && cadence.delayMs < 11);
  });

  test('takes a long pause, and what follows a clear, for no cadence', () => {
    const cadence = new Cadence();
    for (let i = 0; i < 60; i++) cadence.arrived(40, i * 40, i === 0);
    cadence.arrived(40, 60 * 40 + 101, true);
    assert.equal(cadence.delayMs, 10);
    cadence.restart();
    cadence.arrived(40, 61 * 40 + 101 + 90, true);
    assert.equal(cadence.delayMs, 10);
  });

  test('stays within 0 and 100 ms, whatever comes when', () => {
    const random = seeded(1);
    const cadence = new Cadence();
    for (let i = 0, now = 0; i < 20_000; i++, now += random() * 200) {
      cadence.arrived(random() * 300, now, random() < 0.1);
      if (random() < 0.05) cadence.restart();
      assert.ok(cadence.delayMs >= 0 && cadence.delayMs <= 100);
    }
  });
});
