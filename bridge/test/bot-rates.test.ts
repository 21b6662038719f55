import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeTable, type Encoding, transcoder } from '../src/audio/format.ts';
import { Lab, until } from './harness.ts';

/** 400 ms of a tone. */
function tone(hertz: number, rate: number, encoding: Encoding): Buffer {
  const samples = rate * 0.4;
  const linear = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++)
    linear.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * hertz * i) / rate)), i * 2);
  const target = Buffer.alloc(linear.length);
  return target.subarray(0, transcoder('pcm16', encoding)(linear, 0, linear.length, target, 0));
}

/** Level of a frequency in mu-law at 8 kHz, dB. */
function level(heard: Buffer, hertz: number): number {
  const decode = decodeTable('pcmu');
  let re = 0;
  let im = 0;
  for (const [i, byte] of heard.entries()) {
    re += (decode[byte] as number) * Math.cos((2 * Math.PI * hertz * i) / 8_000);
    im += (decode[byte] as number) * Math.sin((2 * Math.PI * hertz * i) / 8_000);
  }
  return 20 * Math.log10(Math.hypot(re, im) / heard.length + 1e-3);
}

describe('a bot whose audio has a rate of its own', { concurrency: 6 }, () => {
  for (const [encoding, sampleRate] of [
    ['pcm16', 24_000],
    ['pcm16', 16_000],
    ['pcm16', 8_000],
    ['pcmu', 24_000],
    ['PCMA', 16_000],
  ] as const)
    test(`is heard as it is with ${encoding} at ${sampleRate} Hz, whatever the call's own, and no message refused`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call();
      const rtp = lab.ari.mediaOf(channel.id);
      const audio = tone(1_000, sampleRate, encoding.toLowerCase() as Encoding);
      // Messages that end anywhere, within a sample too.
      for (let at = 0; at < audio.length; at += 999)
        session.speak(audio.subarray(at, at + 999), { encoding, sampleRate });
      await until(() => rtp.speech().length >= 3_100, 'the tone');
      const heard = rtp.speech().subarray(400, 2_800);
      assert.ok(level(heard, 1_000) - level(heard, 1_370) > 35, 'the tone that it was');
      session.send({ event: 'hangup' });
      const ended = (await lab.ended()) as unknown as { figures: { refusedMessages: object } };
      assert.deepEqual(ended.figures.refusedMessages, {});
      assert.ok(rtp.speech().length <= 3_360, 'as long as it was');
      assert.deepEqual(session.of('error'), []);
    });

  test('has nothing above 4 kHz heard as something else', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    session.speak(tone(6_000, 24_000, 'pcm16'), { encoding: 'pcm16', sampleRate: 24_000 });
    session.send({ event: 'hangup' });
    await lab.ended();
    const heard = Buffer.concat(rtp.heard.map(({ payload }) => payload)).subarray(480);
    assert.ok(level(heard, 2_000) < 20, `${level(heard, 2_000)} dB`);
  });

  test('is told once, and the log too, what the two sides have where its audio cannot be taken', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    for (let i = 0; i < 10; i++)
      session.send({ event: 'media', payload: 'AAAA', encoding: 'opus', sampleRate: 48_000 });
    await until(() => session.of('error').length > 0, 'the error');
    const said =
      'the bot sends opus at 48000 Hz; this call is pcmu at 8000 Hz, and pcmu, pcma and pcm16 at 8000, 16000 and 24000 Hz are taken';
    assert.deepEqual(session.of('error'), [{ event: 'error', code: 'wrong-encoding', message: said }]);
    lab.ari.hangUp(channel.id);
    await lab.ended();
    const lines = lab.logged("the bot's message is refused: wrong-encoding");
    assert.deepEqual(
      lines.map(({ level, detail }) => ({ level, detail })),
      [{ level: 40, detail: said }],
    );
  });
});
