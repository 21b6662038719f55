import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Encoding, silenceByte } from './format.ts';
import { PlayoutQueue } from './playout-queue.ts';

const FRAME = 160;

function open(options: { encoding?: Encoding; trailingSilenceMs?: number; prebufferMs?: number } = {}) {
  const encoding = options.encoding ?? 'pcmu';
  const width = encoding === 'pcm16' ? 2 : 1;
  const marks: { name: string; cleared: boolean; playedMs: number }[] = [];
  const state = { drains: 0, now: 0 };
  const queue: PlayoutQueue = new PlayoutQueue({
    bytesPerFrame: FRAME * width,
    frameMs: 20,
    silence: silenceByte(encoding),
    encoding,
    prebufferMs: options.prebufferMs ?? 0,
    maxMs: 60_000,
    ...(options.trailingSilenceMs === undefined ? {} : { trailingSilenceMs: options.trailingSilenceMs }),
    onMark: (name, cleared) => marks.push({ name, cleared, playedMs: queue.playedMs }),
    onDrained: () => state.drains++,
  });
  const target = Buffer.alloc(FRAME * width);
  const frame = () => {
    const kind = queue.read(target, 0, state.now);
    state.now += 20;
    return { kind, bytes: Buffer.from(target) };
  };
  const say = (audio: Buffer) => queue.write(audio, 0, audio.length, state.now);
  return { queue, marks, state, frame, say };
}

describe('a paused playout queue', () => {
  test('plays silence, loses nothing, and goes on where it stopped', () => {
    const { queue, frame, say } = open();
    const speech = Buffer.from(Uint8Array.from({ length: 1600 }, (_, i) => i % 200));
    say(speech.subarray(0, 1000));
    const heard = [frame().bytes, frame().bytes];
    queue.pause();
    say(speech.subarray(1000));
    for (let i = 0; i < 100; i++)
      assert.deepEqual(frame(), { kind: 'silence', bytes: Buffer.alloc(FRAME, 0xff) });
    assert.equal(queue.playing, true);
    assert.equal(queue.stats.pausedFrames, 100);
    queue.resume();
    for (let i = 0; i < 8; i++) heard.push(frame().bytes);
    assert.deepEqual(Buffer.concat(heard), speech);
    assert.equal(queue.stats.underruns, 0);
  });

  test('lets its marks wait', () => {
    const { queue, marks, frame, say } = open();
    say(Buffer.alloc(FRAME, 1));
    queue.mark('a');
    queue.pause();
    frame();
    assert.deepEqual(marks, []);
    queue.resume();
    frame();
    assert.deepEqual(marks, [{ name: 'a', cleared: false, playedMs: 20 }]);
  });

  test('goes on by itself when its time is up', () => {
    const { queue, frame, say } = open();
    say(Buffer.alloc(800, 1));
    queue.pause(60);
    assert.deepEqual(
      [frame(), frame(), frame(), frame()].map(({ kind }) => kind),
      ['silence', 'silence', 'silence', 'audio'],
    );
    assert.equal(queue.isPaused, false);
  });

  test('is no longer paused once it is cleared', () => {
    const { queue, marks, frame, say } = open();
    say(Buffer.alloc(800, 1));
    queue.mark('a');
    queue.pause();
    assert.equal(queue.clear(), 100);
    assert.equal(queue.isPaused, false);
    assert.equal(marks[0]?.cleared, true);
    say(Buffer.alloc(FRAME, 2));
    assert.equal(frame().bytes[0], 2);
  });

  test('has its drain wait too', () => {
    const { queue, state, frame, say } = open();
    say(Buffer.alloc(FRAME, 1));
    queue.pause();
    queue.drain();
    for (let i = 0; i < 10; i++) frame();
    assert.equal(state.drains, 0);
    queue.resume();
    assert.deepEqual([frame().kind, frame().kind, state.drains], ['audio', 'silence', 1]);
  });
});

describe('a drain with a limit to trailing silence', () => {
  const encodings: [Encoding, Buffer, Buffer][] = [
    ['pcmu', Buffer.of(0xff, 0x7f, 0xfb), Buffer.of(0xef)],
    ['pcma', Buffer.of(0xd5, 0x55, 0xd4), Buffer.of(0xc5)],
    ['pcm16', Buffer.of(0, 0, 0xe0, 0xff, 32, 0), Buffer.of(0xdf, 0xff)],
  ];
  for (const [encoding, quiet, loud] of encodings) {
    test(`never cuts a sample of speech, wherever it ends (${encoding})`, () => {
      const width = loud.length;
      for (let speech = 1; speech < 400; speech += 7) {
        for (const limitMs of [0, 5]) {
          const { queue, frame, say, state } = open({ encoding, trailingSilenceMs: limitMs });
          // A pause within speech stays, however long.
          say(Buffer.concat([loud, Buffer.alloc(8000 * width, quiet), Buffer.alloc(speech * width, loud)]));
          say(Buffer.alloc(16_000 * width, quiet));
          queue.drain();
          const heard: Buffer[] = [];
          while (state.drains === 0) heard.push(frame().bytes);
          const audio = Buffer.concat(heard);
          const end = (1 + 8000 + speech) * width;
          assert.deepEqual(audio.subarray(end - width, end), loud);
          assert.equal(queue.stats.playedBytes, end + limitMs * 8 * width);
          assert.equal(queue.stats.trimmedBytes, (16_000 - limitMs * 8) * width);
          assert.equal(queue.stats.offeredBytes, queue.stats.playedBytes + queue.stats.trimmedBytes);
        }
      }
    });
  }

  test('keeps all without one', () => {
    const { queue, frame, say, state } = open();
    say(Buffer.alloc(1600, 0xff));
    queue.drain();
    while (state.drains === 0) frame();
    assert.equal(queue.playedMs, 200);
  });

  test('fires marks in the silence that was cut, as played', () => {
    const { queue, marks, frame, say } = open({ trailingSilenceMs: 100 });
    say(Buffer.alloc(800, 1));
    say(Buffer.alloc(8000, 0xff));
    queue.mark('half');
    say(Buffer.alloc(8000, 0xff));
    queue.mark('end');
    queue.drain();
    for (let i = 0; i < 12; i++) frame();
    assert.deepEqual(marks, [
      { name: 'half', cleared: false, playedMs: 200 },
      { name: 'end', cleared: false, playedMs: 200 },
    ]);
  });

  test('ends at once where nothing but silence is queued', () => {
    const { queue, marks, frame, say, state } = open({ trailingSilenceMs: 0, prebufferMs: 60 });
    say(Buffer.alloc(16_000, 0xff));
    queue.mark('end');
    queue.drain();
    frame();
    assert.deepEqual([marks.length, state.drains, queue.queuedMs], [1, 1, 0]);
  });
});
