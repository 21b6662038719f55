import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { echo, encoded, mix, noise, speechLike, tone } from '../../bot-check/speech-like.ts';
import { BargeIn } from './barge-in.ts';

const FRAME = 160;

/**
 * What is spoken in a call, and when (end of the frame, ms). `isPlaying` says whether the frame at
 * a time is the bot's.
 */
function listen(bot: Float64Array, caller: Float64Array, isPlaying: (ms: number) => boolean = () => true) {
  const out = encoded(bot, 'pcmu');
  const back = encoded(caller, 'pcmu');
  const bargeIn = new BargeIn({ encoding: 'pcmu', sampleRate: 8000 });
  const said: { what: string; ms: number }[] = [];
  for (let at = 0; at + FRAME <= out.length; at += FRAME) {
    bargeIn.played(out, at, at + FRAME, isPlaying(at / 8));
    const what = bargeIn.heard(back, at, at + FRAME);
    if (what !== undefined) said.push({ what, ms: at / 8 + 20 });
  }
  return said;
}

describe('barge-in', () => {
  test('says start within 120 ms of the caller, over an echo at -20 dB after 20 to 300 ms, and stop 300 ms after', () => {
    const reactions: number[] = [];
    for (let round = 0; round < 15; round++) {
      const bot = speechLike(round, 5000, -18, 110 + round * 7);
      const caller = speechLike(round + 100, 1500, -24, 220 - round * 8);
      const atMs = 1500 + round * 33;
      const back = mix(
        noise(round, 5000, -58),
        { sound: caller, atMs },
        { sound: echo(bot, [{ ms: 20 + round * 20, db: -20 }]), atMs: 0 },
      );
      const [start, stop] = listen(bot, back);
      assert.deepEqual([start?.what, stop?.what], ['start', 'stop']);
      reactions.push((start?.ms ?? 0) - atMs);
      assert.ok((stop?.ms ?? 0) <= atMs + 1500 + 600, `stop after ${(stop?.ms ?? 0) - atMs}`);
    }
    reactions.sort((a, b) => a - b);
    assert.ok(
      (reactions[0] ?? 0) > 0 && (reactions[7] ?? 0) <= 80 && (reactions[14] ?? 0) <= 120,
      `${reactions}`,
    );
  });

  test("is not set off by the bot's own echo", () => {
    for (const ms of [20, 80, 137.7, 300]) {
      const bot = speechLike(ms, 20_000, -16, 140);
      const back = mix(noise(1, 20_000, -60), { sound: echo(bot, [{ ms, db: -20 }]), atMs: 0 });
      assert.deepEqual(listen(bot, back), []);
    }
  });

  test('is not set off by the noise of the line, by clicks, or by an echo of tones', () => {
    const bot = speechLike(7, 10_000, -18, 120);
    assert.deepEqual(listen(bot, noise(1, 10_000, -35)), []);
    const clicks = noise(2, 10_000, -65);
    for (let at = 0; at < clicks.length; at += 4000) clicks.fill(20_000, at, at + 80);
    assert.deepEqual(listen(bot, clicks), []);
    const beep = tone(440, 10_000, -15);
    assert.deepEqual(listen(beep, echo(beep, [{ ms: 90, db: -14 }])), []);
  });

  test('hears a tone that is not the bot', () => {
    const back = mix(noise(3, 3000, -60), { sound: tone(600, 500, -25), atMs: 1000 });
    const [start] = listen(tone(440, 3000, -18), back);
    assert.ok(start !== undefined && start.ms - 1000 <= 80);
  });

  test('is silent while the bot is, and hears a caller who goes on when it begins', () => {
    const caller = speechLike(9, 4000, -24, 130);
    const bot = mix(noise(3, 4000, -90), { sound: speechLike(8, 2000, -18, 120), atMs: 2000 });
    assert.deepEqual(
      listen(bot, caller, () => false),
      [],
    );
    const [start] = listen(bot, caller, (ms) => ms >= 2000);
    assert.ok(start !== undefined && start.ms > 2000 && start.ms < 2600);
  });

  test('says stop though the bot was stopped', () => {
    const bot = speechLike(8, 4000, -18, 120);
    const back = mix(noise(3, 4000, -60), { sound: speechLike(9, 1000, -24, 130), atMs: 1000 });
    const silence = new Float64Array(bot.length);
    silence.set(bot.subarray(0, 1100 * 8));
    const said = listen(silence, back, (ms) => ms < 1100);
    assert.deepEqual(
      said.map(({ what }) => what),
      ['start', 'stop'],
    );
  });
});
