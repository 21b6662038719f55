import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { echo, encoded, mix, noise, speechLike, tone } from '../../bot-check/speech-like.ts';
import { EchoGuard } from './echo-guard.ts';
import type { AudioFormat } from './format.ts';

const G711: AudioFormat = { encoding: 'pcmu', sampleRate: 8000 };
const BOT_DBFS = -18;

/**
 * Share of the loud frames, in the last two of three seconds, that the guard takes for the caller's
 * voice.
 */
function nearShare(
  played: Float64Array,
  heard: Float64Array,
  format: AudioFormat = G711,
  repeat = 1,
): number {
  const guard = new EchoGuard(format);
  // At 16 and 24 kHz each sample is simply repeated: the guard listens below 1 kHz.
  const wide = (sound: Float64Array) =>
    encoded(
      Float64Array.from({ length: sound.length * repeat }, (_, i) => sound[Math.floor(i / repeat)] as number),
      format.encoding,
    );
  const out = wide(played);
  const back = wide(heard);
  const frame = (160 * repeat * out.length) / (played.length * repeat);
  let loud = 0;
  let near = 0;
  for (let at = 0; at + frame <= out.length; at += frame) {
    guard.played(out, at, at + frame);
    const power = guard.heard(back, at, at + frame);
    if (power < 1e-5) {
      guard.learn();
      continue;
    }
    const isNear = guard.nearPower() >= 1e-5;
    if (!isNear) guard.learn();
    if (at < out.length / 3) continue;
    loud++;
    if (isNear) near++;
  }
  return loud === 0 ? 0 : near / loud;
}

describe('an echo guard', () => {
  for (const ms of [20, 63.3, 150.06, 300, 440]) {
    test(`knows the bot's voice come back after ${ms} ms at -20 dB`, () => {
      const bot = speechLike(1, 3000, BOT_DBFS, 120);
      const back = mix(echo(bot, [{ ms, db: -20 }]), { sound: noise(2, 3000, -65), atMs: 0 });
      assert.ok(nearShare(bot, back) < 0.02);
    });
  }

  test('knows it after a loud hybrid and in a room of many reflections', () => {
    const bot = speechLike(3, 3000, BOT_DBFS, 150);
    assert.ok(nearShare(bot, echo(bot, [{ ms: 45, db: -8 }])) < 0.02);
    const room = [
      { ms: 80, db: -22 },
      { ms: 83, db: -25 },
      { ms: 91, db: -28 },
      { ms: 110, db: -32 },
    ];
    assert.ok(nearShare(bot, echo(bot, room)) < 0.2);
  });

  test('knows it at 16 and 24 kHz, and in A-law', () => {
    const bot = speechLike(1, 3000, BOT_DBFS, 120);
    const back = echo(bot, [{ ms: 120, db: -20 }]);
    assert.ok(nearShare(bot, back, { encoding: 'pcm16', sampleRate: 16_000 }, 2) < 0.02);
    assert.ok(nearShare(bot, back, { encoding: 'pcm16', sampleRate: 24_000 }, 3) < 0.02);
    assert.ok(nearShare(bot, back, { encoding: 'pcma', sampleRate: 8000 }) < 0.02);
  });

  test('takes a caller who speaks alone, or over the echo, for the caller', () => {
    for (const seed of [1, 2, 3]) {
      const bot = speechLike(seed, 3000, BOT_DBFS, 120);
      const caller = speechLike(seed + 50, 2000, -22, 130);
      const back = mix(noise(4, 3000, -65), { sound: caller, atMs: 1000 });
      assert.ok(nearShare(bot, back) > 0.85);
      assert.ok(nearShare(bot, mix(back, { sound: echo(bot, [{ ms: 100, db: -20 }]), atMs: 0 })) > 0.7);
    }
  });

  test('tells tones apart by their pitch', () => {
    const bot = tone(440, 3000, BOT_DBFS);
    const other = tone(620, 2000, -22);
    assert.equal(nearShare(bot, echo(bot, [{ ms: 77, db: -20 }])), 0);
    assert.ok(nearShare(bot, mix(noise(4, 3000, -65), { sound: other, atMs: 1000 })) > 0.95);
  });

  test('takes what is louder than any echo for the caller without a search', () => {
    const guard = new EchoGuard(G711);
    guard.played(Buffer.alloc(160, 0xff), 0, 160);
    const power = guard.heard(encoded(tone(300, 20, -20), 'pcmu'), 0, 160);
    assert.equal(guard.nearPower(), power);
  });
});
