import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BotAudio } from './bot-audio.ts';
import { bytesPerMs, type Encoding, type SampleRate, transcoder } from './format.ts';
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
  const audio = new BotAudio(queue, { encoding: 'pcmu', sampleRate: 8_000 });
  const say = (bytes: Buffer, encoding: Encoding = 'pcm16', rate: SampleRate = 8_000) =>
    audio.write(bytes, bytes.length, encoding, rate, 0);
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
        audio.write(shared, length, encoding, 8_000, 0);
        shared.fill(0x55);
      }
      assert.deepEqual(queued(), converted(pcm, encoding));
    }
  });

  test('of a message without any is nothing, also between the halves of a sample', () => {
    const { audio, say, queued } = open();
    say(ramp(5).subarray(0, 9));
    assert.equal(audio.write(Buffer.alloc(0), 0, 'pcm16', 8_000, 0), 0);
    say(ramp(5).subarray(9));
    assert.deepEqual(queued(), converted(ramp(5), 'pcm16'));
  });

  test('of another rate lasts as long as it did, whatever messages it is cut into', () => {
    for (const encoding of ['pcm16', 'pcma', 'pcmu'] as const) {
      for (const rate of [16_000, 24_000] as const) {
        const bytes = 30 * bytesPerMs({ encoding, sampleRate: rate }) * 20;
        const source = tone(400, rate, encoding).subarray(0, bytes);
        const whole = open();
        assert.equal(whole.say(source, encoding, rate), 600 * 8);
        const expected = whole.queued();
        for (const size of [1, 7, 960, 1_001, 20_000]) {
          const { say, queued } = open();
          for (let at = 0; at < bytes; at += size)
            say(source.subarray(at, Math.min(bytes, at + size)), encoding, rate);
          assert.deepEqual(queued(), expected, `${encoding} at ${rate} by ${size}`);
        }
      }
    }
  });

  test('may change its rate from message to message, and is the sound that it was', () => {
    const { say, queued } = open();
    say(tone(1_000, 24_000), 'pcm16', 24_000);
    say(tone(1_000, 8_000));
    say(tone(1_000, 16_000, 'pcma'), 'pcma', 16_000);
    const heard = queued();
    assert.equal(heard.length, 3 * 8_000);
    const samples = Buffer.alloc(heard.length * 2);
    transcoder('pcmu', 'pcm16')(heard, 0, heard.length, samples, 0);
    for (let second = 0; second < 3; second++) {
      const part = samples.subarray(second * 16_000 + 400, (second + 1) * 16_000);
      const level = 10 * Math.log10(power(part, 1_000, 8_000) / power(part, 1_700, 8_000));
      assert.ok(level > 40, `second ${second}: ${level} dB`);
    }
  });

  test('of another rate has nothing of what was before a restart', () => {
    const { audio, say, queued } = open();
    say(tone(1_000, 24_000).subarray(0, 4_801), 'pcm16', 24_000);
    audio.restart();
    const before = queued().length;
    const fresh = open();
    say(tone(400, 24_000), 'pcm16', 24_000);
    fresh.say(tone(400, 24_000), 'pcm16', 24_000);
    assert.ok(before > 0);
    assert.deepEqual(queued(), fresh.queued());
  });
});

/** A second of a tone. */
function tone(hertz: number, rate: number, encoding: Encoding = 'pcm16'): Buffer {
  const linear = Buffer.alloc(rate * 2);
  for (let i = 0; i < rate; i++)
    linear.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * hertz * i) / rate)), i * 2);
  const target = Buffer.alloc(linear.length);
  return target.subarray(0, transcoder('pcm16', encoding)(linear, 0, linear.length, target, 0));
}

/** Power of one frequency in pcm16, by its correlation with it. */
function power(pcm: Buffer, hertz: number, rate: number): number {
  let re = 0;
  let im = 0;
  for (let i = 0; i < pcm.length / 2; i++) {
    const sample = pcm.readInt16LE(i * 2);
    re += sample * Math.cos((2 * Math.PI * hertz * i) / rate);
    im += sample * Math.sin((2 * Math.PI * hertz * i) / rate);
  }
  return (re * re + im * im) / (pcm.length / 2) ** 2 + 1e-9;
}
