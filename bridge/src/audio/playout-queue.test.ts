import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PlayoutQueue } from './playout-queue.ts';

const SILENCE = 0xff;
const FRAME = 160;

interface Fired {
  name: string;
  cleared: boolean;
}

/** A queue, its marks, and a clock that `frame` moves on by 20 ms. */
function open(options: { prebufferMs?: number; maxMs?: number } = {}) {
  const marks: Fired[] = [];
  const target = Buffer.alloc(FRAME + 1);
  const state = { now: 0, drains: 0 };
  const queue = new PlayoutQueue({
    bytesPerFrame: FRAME,
    frameMs: 20,
    silence: SILENCE,
    prebufferMs: options.prebufferMs ?? 0,
    maxMs: options.maxMs ?? 120_000,
    onMark: (name, cleared) => marks.push({ name, cleared }),
    onDrained: () => state.drains++,
  });
  const frame = () => {
    const kind = queue.read(target, 1, state.now);
    state.now += 20;
    return { kind, bytes: Buffer.from(target.subarray(1)) };
  };
  const say = (bytes: number, value = 1) => queue.write(Buffer.alloc(bytes, value), 0, bytes, state.now);
  return { queue, marks, state, frame, say };
}

/** How many frames of audio there are until the first silence. */
function audioFrames(frame: () => { kind: string }): number {
  let frames = 0;
  while (frame().kind === 'audio') frames++;
  return frames;
}

describe('a playout queue', () => {
  test('plays silence while it is empty', () => {
    const { frame, queue } = open();
    const { kind, bytes } = frame();
    assert.equal(kind, 'silence');
    assert.deepEqual(bytes, Buffer.alloc(FRAME, SILENCE));
    assert.equal(queue.stats.silenceFrames, 1);
  });

  test('cuts messages of any size into frames, and pads the last', () => {
    const { queue, frame } = open();
    const speech = Buffer.from(Uint8Array.from({ length: 1100 }, (_, i) => i % 251));
    for (let at = 0; at < 1100; at += 137) queue.write(speech, at, Math.min(at + 137, 1100), 0);
    const heard: Buffer[] = [];
    for (let i = 0; i < 7; i++) heard.push(frame().bytes);
    const padding = Buffer.alloc(7 * FRAME - 1100, SILENCE);
    assert.deepEqual(Buffer.concat(heard), Buffer.concat([speech, padding]));
    assert.equal(frame().kind, 'silence');
    assert.equal(queue.playedMs, 137.5);
  });

  test('keeps 120 s sent in one go, refuses what is beyond, and gives the memory back', () => {
    const { queue, frame, say } = open();
    assert.equal(say(960_000 + 500), 960_000);
    assert.equal(say(1), 0);
    assert.equal(queue.stats.overflowBytes, 501);
    assert.equal(queue.queuedMs, 120_000);
    assert.equal(queue.stats.highWaterMs, 120_000);
    assert.equal(audioFrames(frame), 6000);
    assert.equal(say(160), 160);
    assert.equal(audioFrames(frame), 1);
  });

  test('takes parts of a buffer, also across the end of its ring and over its limit', () => {
    const { queue, frame } = open({ maxMs: 1500 });
    const speech = Buffer.from(Uint8Array.from({ length: 1001 }, (_, i) => i % 250));
    const buffer = Buffer.concat([Buffer.alloc(7, 251), speech, Buffer.alloc(7, 252)]);
    const write = () => queue.write(buffer, 7, 1008, 0);
    const heard: Buffer[] = [];
    for (let i = 0; i < 60; i++) {
      assert.equal(write(), 1001);
      for (let n = 0; n < 6; n++) heard.push(frame().bytes);
      if (i % 10 === 0) write();
      if (i % 10 === 9) for (let n = 0; n < 7; n++) heard.push(frame().bytes);
    }
    while (queue.queuedMs > 0) heard.push(frame().bytes);
    const audio = Buffer.concat(heard).filter((byte) => byte !== SILENCE);
    assert.equal(audio.length, 66 * 1001);
    for (const [i, byte] of audio.entries()) assert.equal(byte, (i % 1001) % 250);
    assert.equal(queue.write(Buffer.alloc(20_001), 1, 20_001, 0), 12_000);
    assert.equal(queue.stats.overflowBytes, 8_000);
  });

  describe('before an utterance', () => {
    test('waits for its pre-buffer, counted from the first byte', () => {
      const { frame, say } = open({ prebufferMs: 60 });
      frame();
      say(320);
      assert.deepEqual(
        [frame(), frame(), frame()].map(({ kind }) => kind),
        ['silence', 'silence', 'silence'],
      );
      assert.equal(frame().kind, 'audio');
    });

    test('does not wait when more than the pre-buffer is there beyond the first message', () => {
      const { frame, say } = open({ prebufferMs: 60 });
      say(160);
      say(479);
      assert.equal(frame().kind, 'silence');
      say(1);
      assert.equal(frame().kind, 'audio');
    });

    test('does not wait for a bot that sends a second at once', () => {
      const { frame, say } = open({ prebufferMs: 60 });
      say(8000);
      assert.equal(frame().kind, 'audio');
    });

    test('makes 1100 bytes each 120 to 160 ms gapless', () => {
      const { queue, state, frame, say } = open({ prebufferMs: 60 });
      let sent = 0;
      const dueMs = (message: number) => Math.ceil((message * 137.5) / 20) * 20;
      while (state.now < 60_000) {
        if (state.now >= dueMs(sent)) {
          say(1100);
          sent++;
        }
        frame();
      }
      assert.equal(queue.stats.underruns, 0);
      assert.equal(queue.stats.silenceFrames, 3);
    });
  });

  describe('that runs dry', () => {
    test('goes on without a gap when audio comes before the next frame is due', () => {
      const { queue, frame, say } = open({ prebufferMs: 60 });
      say(480);
      for (let i = 0; i < 3; i++) frame();
      for (let i = 0; i < 50; i++) {
        assert.equal(frame().kind, 'audio');
        say(160);
      }
      assert.equal(queue.stats.underruns, 0);
    });

    test('primes again and counts an underrun when audio comes soon after', () => {
      const { queue, frame, say } = open({ prebufferMs: 40 });
      say(160);
      frame();
      frame();
      assert.deepEqual(
        [frame(), frame()].map(({ kind }) => kind),
        ['audio', 'silence'],
      );
      say(160);
      assert.deepEqual(
        [frame(), frame(), frame()].map(({ kind }) => kind),
        ['silence', 'silence', 'audio'],
      );
      assert.equal(queue.stats.underruns, 1);
      assert.equal(queue.stats.longestGapMs, 60);
    });

    test('counts none when the next audio is a new utterance, or follows a clear', () => {
      const { queue, state, frame, say } = open();
      say(100);
      frame();
      state.now += 500;
      say(100);
      frame();
      queue.clear();
      say(100);
      frame();
      assert.equal(queue.stats.underruns, 0);
      assert.equal(queue.stats.longestGapMs, 0);
    });
  });

  describe('when cleared', () => {
    test('drops everything at once and says how much', () => {
      const { queue, frame, say } = open();
      say(1600);
      frame();
      assert.equal(queue.clear(), 180);
      assert.equal(queue.queuedMs, 0);
      assert.equal(frame().kind, 'silence');
      say(FRAME, 7);
      assert.equal(frame().bytes[0], 7);
      assert.equal(queue.clearedMs, 180);
    });

    test('does nothing when nothing waits', () => {
      const { queue, marks } = open();
      assert.equal(queue.clear(), 0);
      assert.equal(queue.clear(), 0);
      assert.deepEqual(marks, []);
    });
  });

  describe('with marks', () => {
    test('fires them when all before them has been played, in order', () => {
      const { queue, marks, frame, say } = open();
      say(200);
      queue.mark('a');
      queue.mark('b');
      say(120);
      queue.mark('c');
      frame();
      assert.deepEqual(marks, []);
      frame();
      assert.deepEqual(
        marks.map(({ name }) => name),
        ['a', 'b', 'c'],
      );
      assert.ok(marks.every(({ cleared }) => !cleared));
    });

    test('fires them at once when nothing waits', () => {
      const { queue, marks } = open();
      queue.mark('now');
      assert.deepEqual(marks, [{ name: 'now', cleared: false }]);
    });

    test('fires them as cleared, in order, when cleared', () => {
      const { queue, marks, say } = open();
      say(200);
      queue.mark('a');
      say(200);
      queue.mark('b');
      queue.clear();
      assert.deepEqual(marks, [
        { name: 'a', cleared: true },
        { name: 'b', cleared: true },
      ]);
    });

    test('refuses the thousand-and-first', () => {
      const { queue, say } = open();
      say(200);
      for (let i = 0; i < 1000; i++) assert.equal(queue.mark(`${i}`), true);
      assert.equal(queue.mark('too many'), false);
    });

    test('lets the listener of a mark queue and clear', () => {
      const heard: string[] = [];
      const queue: PlayoutQueue = new PlayoutQueue({
        bytesPerFrame: FRAME,
        frameMs: 20,
        silence: SILENCE,
        prebufferMs: 0,
        maxMs: 1000,
        onMark: (name) => {
          heard.push(name);
          queue.clear();
          if (heard.length < 5) queue.mark(`${name}'`);
        },
        onDrained: () => {},
      });
      queue.write(Buffer.alloc(FRAME), 0, FRAME, 0);
      queue.mark('a');
      queue.read(Buffer.alloc(FRAME), 0, 0);
      assert.deepEqual(heard, ['a', "a'", "a''", "a'''", "a''''"]);
    });
  });

  describe('in a drain', () => {
    test('plays to the last byte without waiting for more, then reports once, one frame later', () => {
      const { queue, state, frame, say } = open({ prebufferMs: 60 });
      say(200, 5);
      queue.drain();
      assert.equal(frame().kind, 'audio');
      const last = frame();
      assert.deepEqual([...last.bytes.subarray(38, 42)], [5, 5, SILENCE, SILENCE]);
      assert.deepEqual([queue.drained, state.drains], [false, 0]);
      frame();
      frame();
      assert.deepEqual([queue.drained, state.drains], [true, 1]);
    });

    test('reports at the next frame when nothing waits, or after a clear', () => {
      for (const bytes of [0, 1600]) {
        const { queue, state, frame, say } = open();
        say(bytes);
        queue.drain();
        queue.clear();
        frame();
        assert.equal(state.drains, 1);
      }
    });

    test('refuses what comes later', () => {
      const { queue, say } = open();
      queue.drain();
      assert.equal(say(100), 0);
      assert.equal(queue.write(Buffer.alloc(9), 3, 6, 0), 0);
      assert.equal(queue.stats.afterDrainBytes, 103);
      assert.equal(queue.queuedMs, 0);
    });
  });

  test('loses and invents no byte, whatever is done to it', () => {
    let seed = 3;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    for (let round = 0; round < 100; round++) {
      const { queue, state, marks } = open({ prebufferMs: random(100), maxMs: 2000 });
      const target = Buffer.alloc(FRAME);
      let next = 0;
      let expected = 0;
      let marksSet = 0;
      for (let step = 0; step < 1000; step++) {
        const action = random(100);
        if (action < 30) {
          const size = random(action === 0 ? 20_000 : 400);
          const speech = Buffer.from(Uint8Array.from({ length: size }, (_, i) => (next + i) % 200));
          const accepted =
            action % 2 === 0
              ? queue.write(speech, 0, size, state.now)
              : queue.write(Buffer.concat([Buffer.of(201), speech, Buffer.of(202)]), 1, 1 + size, state.now);
          next += accepted;
        } else if (action < 95) {
          const before = queue.stats.playedBytes;
          queue.read(target, 0, state.now);
          state.now += 20;
          const played = queue.stats.playedBytes - before;
          for (let i = 0; i < FRAME; i++) {
            assert.equal(target[i], i < played ? (expected + i) % 200 : SILENCE);
          }
          expected += played;
        } else if (action < 97) {
          queue.clear();
          expected = next;
        } else if (queue.mark('m')) marksSet++;
        const { offeredBytes, playedBytes, clearedBytes, overflowBytes } = queue.stats;
        assert.equal(offeredBytes, playedBytes + clearedBytes + overflowBytes + queue.queuedMs * 8);
        assert.equal(playedBytes + clearedBytes + queue.queuedMs * 8, next);
      }
      queue.clear();
      assert.equal(marks.length, marksSet);
    }
  });
});
