import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Encoding, silenceByte } from './format.ts';
import { PlayoutQueue } from './playout-queue.ts';

/**
 * A queue at 8 kHz, and the bot's audio: each letter is 20 ms of sound, a point 20 ms of silence.
 */
function open(encoding: Encoding) {
  const bytesPerFrame = encoding === 'pcm16' ? 320 : 160;
  const silence = silenceByte(encoding);
  const marks: string[] = [];
  const queue = new PlayoutQueue({
    bytesPerFrame,
    frameMs: 20,
    silence,
    encoding,
    prebufferMs: 0,
    maxMs: 60_000,
    onMark: (name) => marks.push(name),
    onDrained: () => {},
  });
  const say = (text: string) =>
    [...text].forEach((letter) => {
      queue.write(Buffer.alloc(bytesPerFrame, letter === '.' ? silence : letter), 0, bytesPerFrame, 0);
    });
  const target = Buffer.alloc(bytesPerFrame);
  const hear = (frames: number) => {
    let heard = '';
    for (let i = 0; i < frames; i++) {
      const kind = queue.read(target, 0, 0);
      heard +=
        kind === 'silence' ? '_' : target[0] === silence ? '.' : String.fromCharCode(target[0] as number);
    }
    return heard;
  };
  return { queue, marks, say, hear };
}

for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
  describe(`after skipped frames, in ${encoding}`, () => {
    test("the bot's next silence is shorter by as much, and no sound is lost", () => {
      const { queue, say, hear } = open(encoding);
      say('abcd......efgh....i');
      assert.equal(hear(2), 'ab');
      queue.skip(3);
      assert.equal(hear(14), 'cd...efgh....i');
      const { offeredBytes, playedBytes, trimmedBytes } = queue.stats;
      assert.equal(trimmedBytes, encoding === 'pcm16' ? 960 : 480);
      assert.equal(offeredBytes, playedBytes + trimmedBytes);
    });

    test('a silence is halved at the most at once: the rest is made up for in the next ones', () => {
      const { queue, say, hear } = open(encoding);
      say('ab....cd....ef');
      hear(1);
      queue.skip(3);
      assert.equal(hear(10), 'b..cd...ef');
    });

    test('marks come with the sound that they stand behind', () => {
      const { queue, marks, say, hear } = open(encoding);
      say('ab..');
      queue.mark('end of ab');
      say('cd');
      queue.mark('end of cd');
      hear(1);
      queue.skip(1);
      assert.equal(hear(3), 'b.c');
      assert.deepEqual(marks, ['end of ab']);
      hear(1);
      assert.deepEqual(marks, ['end of ab', 'end of cd']);
    });

    test('a queue that runs dry, is cleared, or is not being heard has nothing to make up for', () => {
      const { queue, say, hear } = open(encoding);
      queue.skip(5);
      say('a..b');
      assert.equal(hear(5), 'a..b_');
      say('a');
      assert.equal(hear(1), 'a');
      queue.skip(5);
      assert.equal(hear(1), '_');
      say('c..d');
      assert.equal(hear(4), 'c..d');
      say('e...');
      hear(1);
      queue.skip(5);
      queue.clear();
      say('f...g');
      assert.equal(hear(5), 'f...g');
    });
  });
}
