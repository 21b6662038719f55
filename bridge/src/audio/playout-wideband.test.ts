import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PlayoutQueue } from './playout-queue.ts';

/** A queue of pcm16 at `kHz`, and a reader of its frames as samples. */
function open(kHz: number, maxMs = 60_000) {
  const bytesPerFrame = kHz * 2 * 20;
  const queue = new PlayoutQueue({
    bytesPerFrame,
    frameMs: 20,
    silence: 0,
    encoding: 'pcm16',
    prebufferMs: 0,
    maxMs,
    onMark: () => {},
    onDrained: () => {},
  });
  const target = Buffer.alloc(bytesPerFrame);
  const frame = () => {
    queue.read(target, 0, 0);
    return Array.from({ length: bytesPerFrame / 2 }, (_, i) => target.readInt16LE(i * 2));
  };
  return { queue, frame, bytesPerFrame };
}

/** `count` samples that count up from `from`, none of them 0. */
function samples(from: number, count: number): Buffer {
  const audio = Buffer.alloc(count * 2);
  for (let i = 0; i < count; i++) audio.writeInt16LE(((from + i) % 30_000) + 1, i * 2);
  return audio;
}

for (const kHz of [16, 24]) {
  describe(`a playout queue of pcm16 at ${kHz} kHz`, () => {
    test('counts in ms and plays every sample once', () => {
      const { queue, frame, bytesPerFrame } = open(kHz);
      assert.equal(bytesPerFrame, kHz === 16 ? 640 : 960);
      queue.write(samples(0, 1100), 0, 2200, 0);
      assert.equal(queue.queuedMs, 1100 / kHz);
      const heard = [...frame(), ...frame(), ...frame(), ...frame()];
      assert.deepEqual(
        heard.filter((sample) => sample !== 0),
        Array.from({ length: 1100 }, (_, i) => i + 1),
      );
    });

    test('never splits a sample, whatever the messages are cut into', () => {
      const audio = samples(0, 4_000);
      for (const [i, size] of [1, 2, 3, 137, 641, 1100, 4097].entries()) {
        const { queue, frame } = open(kHz);
        const heard: number[] = [];
        for (let at = 0; at < audio.length; at += size) {
          const part = audio.subarray(at, at + size);
          const accepted =
            i % 2 === 0
              ? queue.write(audio, at, Math.min(at + size, audio.length), 0)
              : queue.write(part, 0, part.length, 0);
          assert.equal(accepted % 2, 0);
          // Running dry between two halves of a sample must not shift what follows.
          if (at % 3 === 0) heard.push(...frame());
        }
        while (queue.queuedMs > 0) heard.push(...frame());
        assert.deepEqual(
          heard.filter((sample) => sample !== 0),
          Array.from({ length: 4_000 }, (_, n) => n + 1),
        );
        assert.equal(queue.stats.offeredBytes, queue.stats.playedBytes);
      }
    });

    test('begins with a whole sample again after a clear, and refuses whole samples', () => {
      const { queue, frame } = open(kHz, 25);
      queue.write(samples(0, 100), 0, 199, 0);
      queue.clear();
      assert.equal(queue.write(samples(500, 2000), 0, 4000, 0), 25 * kHz * 2);
      assert.equal(frame()[0], 501);
      assert.equal(queue.stats.overflowBytes, 4000 - 25 * kHz * 2);
    });
  });
}
