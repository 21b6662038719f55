import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BotAudio } from './bot-audio.ts';
import { type Encoding, transcoder } from './format.ts';
import { PlayoutQueue } from './playout-queue.ts';

/** An inlet into a mu-law queue, and what has been queued. */
function open() {
  const queue = new PlayoutQueue({
    bytesPerFrame: 160,
    frameMs: 20,
    silence: 0xff,
    prebufferMs: 0,
    maxMs: 120_000,
    onMark: () => {},
    onDrained: () => {},
  });
  const audio = new BotAudio(queue, 'pcmu');
  const say = (bytes: Buffer, encoding: Encoding = 'pcm16') => audio.write(bytes, bytes.length, encoding, 0);
  const queued = () => {
    const bytes = queue.queuedMs * 8;
    const target = Buffer.alloc(bytes + 160);
    for (let at = 0; at < bytes; at += 160) queue.read(target, at, 0);
    return target.subarray(0, bytes);
  };
  return { audio, say, queued };
}

function ramp(samples: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++) pcm.writeInt16LE(((i * 37) % 60_000) - 30_000, i * 2);
  return pcm;
}

function converted(source: Buffer, from: Encoding): Buffer {
  const target = Buffer.alloc(source.length);
  return target.subarray(0, transcoder(from, 'pcmu')(source, 0, source.length, target, 0));
}

describe("a bot's audio", () => {
  test('is queued as it comes where the encodings are the same', () => {
    const { say, queued } = open();
    assert.equal(say(Buffer.from([1, 2, 3]), 'pcmu'), 3);
    assert.deepEqual([...queued()], [1, 2, 3]);
  });

  test('is converted, whatever messages it is cut into', () => {
    const pcm = ramp(20_000);
    for (const size of [1, 3, 640, 1101, 39_999, 40_000]) {
      const { say, queued } = open();
      for (let at = 0; at < pcm.length; at += size) say(pcm.subarray(at, at + size));
      assert.deepEqual(queued(), converted(pcm, 'pcm16'));
    }
  });

  test('may change its encoding from message to message', () => {
    const { say, queued } = open();
    const alaw = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));
    say(ramp(11).subarray(0, 21));
    say(alaw, 'pcma');
    say(ramp(10));
    say(Buffer.from([9]), 'pcmu');
    const wanted = [
      converted(ramp(10), 'pcm16'),
      converted(alaw, 'pcma'),
      converted(ramp(10), 'pcm16'),
      Buffer.of(9),
    ];
    assert.deepEqual(queued(), Buffer.concat(wanted));
  });

  test('begins with a whole sample after a restart', () => {
    const { audio, say, queued } = open();
    say(Buffer.from([1, 2, 3]));
    audio.restart();
    say(ramp(5));
    assert.deepEqual(queued().subarray(1), converted(ramp(5), 'pcm16'));
  });

  test('is taken at once: the buffer it came in may be longer, and used again', () => {
    const pcm = ramp(3_000);
    const shared = Buffer.alloc(1_000);
    for (const encoding of ['pcm16', 'pcma', 'pcmu'] as const) {
      const { audio, queued } = open();
      for (let at = 0, size = 1; at < pcm.length; at += size, size = (size * 7) % 1_001) {
        const length = pcm.copy(shared, 0, at, at + size);
        audio.write(shared, length, encoding, 0);
        shared.fill(0x55);
      }
      assert.deepEqual(queued(), converted(pcm, encoding));
    }
  });

  test('of a message without any is nothing, also between the halves of a sample', () => {
    const { audio, say, queued } = open();
    say(ramp(5).subarray(0, 9));
    assert.equal(audio.write(Buffer.alloc(0), 0, 'pcm16', 0), 0);
    say(ramp(5).subarray(9));
    assert.deepEqual(queued(), converted(ramp(5), 'pcm16'));
  });
});
