/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Lab, speech, until } from './harness.ts';

/** A folder with one provider's file. */
function providers(t: TestContext, text: string): { PROVIDERS_DIR: string } {
  const path = mkdtempSync(join(tmpdir(), 'ladder-'));
  t.after(() => rmSync(path, { recursive: true }));
  writeFileSync(join(path, 'pb_fintech.env'), text);
  return { PROVIDERS_DIR: path };
}

describe('a bot that is not there', { concurrency: 6 }, () => {
  test('is tried until BOT_CONNECT_MS is over, at growing intervals, while the caller hears ringing', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_MS: '10000' } });
    const DOWN_MS = 2_500;
    const tries: number[] = [];
    lab.bot.decide = () => {
      tries.push(performance.now());
      return performance.now() - (tries[0] ?? 0) < DOWN_MS ? 503 : 'accept';
    };
    const channel = lab.ari.inbound();
    await until(() => channel.state === 'Up', 'the answer');
    const backMs = (tries[0] ?? 0) + DOWN_MS;
    t.diagnostic(`connected ${Math.round((tries.at(-1) ?? 0) - backMs)} ms after the bot was back`);
    const pauses = tries.slice(1).map((ms, i) => ms - (tries[i] ?? 0));
    assert.ok(tries.length >= 4 && tries.length <= 7, `${tries.length} tries`);
    assert.ok((pauses.at(-1) ?? 0) > 2 * (pauses[0] ?? 0), `pauses ${pauses.map(Math.round)}`);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test("is tried by its provider's limits, where its file has some", async (t) => {
    const file = 'AUTH=ip\nMATCH=127.0.0.1\nBOT_CONNECT_MS=10000\nBOT_CONNECT_TRIES=1\nBOT_RECONNECT_MS=0\n';
    const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '9', ...providers(t, file) } });
    lab.bot.decide = () => 503;
    lab.ari.inbound();
    assert.equal((await lab.ended()).reason.kind, 'bot-unavailable');
    assert.equal(lab.bot.attempts, 1);
    lab.bot.decide = () => 'accept';
    const { session } = await lab.call();
    session.cut();
    assert.equal((await lab.ended(1)).reason.kind, 'bot-lost');
  });
});

describe('a bot whose process hangs in mid-call', { concurrency: 6 }, () => {
  test('is lost within 3 s: the caller hears a tone at once, and the bot is connected again', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    session.speak(speech(1));
    await until(() => rtp.speech().length === 160, 'the bot');
    const sinceMs = performance.now();
    session.stopReading();
    await until(() => lab.logged('bot lost, trying again').length > 0, 'the loss');
    const lostMs = performance.now() - sinceMs;
    assert.ok(lostMs < 3_300, `noticed after ${Math.round(lostMs)} ms`);
    const again = await lab.session(1);
    assert.equal(again.events[0]?.reconnected, true);
    await until(() => rtp.speech().length > 160, 'the tone');
    session.resumeReading();
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('is lost while nobody answers its next connection, and the caller hears a tone at once', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_HUNG_MS: '400', BOT_PING_MS: '100' } });
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    session.speak(speech(1));
    await until(() => rtp.speech().length === 160, 'the bot');
    lab.bot.decide = () => 'never';
    session.stopReading();
    await until(() => lab.bot.attempts === 2, 'another try');
    const sinceMs = performance.now();
    await until(() => rtp.speech().length > 160, 'the tone');
    assert.ok(performance.now() - sinceMs < 500, 'at once');
    session.resumeReading();
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('for 2 s and goes on is kept: a Python bot may block its event loop', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    const BLOCKED_MS = 2_000;
    session.speak(speech(1));
    await delay(300);
    session.stopReading();
    await delay(BLOCKED_MS);
    session.resumeReading();
    await delay(BLOCKED_MS);
    assert.deepEqual(lab.logged('bot lost, trying again'), []);
    assert.equal(lab.bot.attempts, 1);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });
});

describe('the music of the operator', { concurrency: 4 }, () => {
  const SECONDS = 2;

  /** A WAV file of a tone in mu-law that never repeats a frame, and its samples. */
  function music(t: TestContext): { COMFORT_WAV: string; samples: Buffer } {
    const samples = speech(SECONDS * 50, 3);
    const path = mkdtempSync(join(tmpdir(), 'music-'));
    t.after(() => rmSync(path, { recursive: true }));
    const header = Buffer.alloc(44);
    header.write('RIFF', 0, 'latin1');
    header.write('WAVEfmt ', 8, 'latin1');
    for (const [at, value] of [
      [16, 16],
      [20, 7 + (1 << 16)],
      [24, 8_000],
      [40, samples.length],
    ] as const)
      header.writeUInt32LE(value, at);
    header.writeUInt16LE(8, 34);
    header.write('data', 36, 'latin1');
    writeFileSync(join(path, 'hold.wav'), Buffer.concat([header, samples]));
    return { COMFORT_WAV: join(path, 'hold.wav'), samples };
  }

  test('is what the caller hears while a lost bot is sought, without a gap, until it is back', async (t) => {
    const { COMFORT_WAV, samples } = music(t);
    const lab = await Lab.start(t, { config: { COMFORT_WAV } });
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    lab.bot.decide = () => 503;
    session.speak(speech(5));
    session.cut();
    await until(() => rtp.speech().length > 800 + 1.5 * samples.length, 'the music, twice');
    lab.bot.decide = () => 'accept';
    const second = await lab.session(1);
    second.speak(speech(4, 7));
    await until(() => rtp.speech().includes(speech(4, 7)), 'the bot');
    const heard = rtp.speech();
    assert.deepEqual(heard.subarray(0, 800), speech(5), 'what the bot had said');
    assert.deepEqual(heard.subarray(800, 800 + samples.length), samples);
    assert.deepEqual(
      heard.subarray(800 + samples.length, 800 + 1.5 * samples.length),
      samples.subarray(0, samples.length / 2),
    );
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test("may be a provider's own", async (t) => {
    const { COMFORT_WAV, samples } = music(t);
    const file = `AUTH=ip\nMATCH=127.0.0.1\nCOMFORT_WAV=${COMFORT_WAV}\n`;
    const lab = await Lab.start(t, { config: providers(t, file) });
    const { channel, session } = await lab.call();
    lab.bot.decide = () => 503;
    session.cut();
    const rtp = lab.ari.mediaOf(channel.id);
    await until(() => rtp.speech().length > 1_600, 'the music');
    assert.deepEqual(rtp.speech().subarray(0, 1_600), samples.subarray(0, 1_600));
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });
});

describe('a bot that accepts the call and says nothing', { concurrency: 6 }, () => {
  const SPEAKS_FIRST = { FIRST_AUDIO_MS: '1500', BOT_SPEAKS_FIRST: 'yes' };
  const WARNING = 'the bot is connected and says nothing';

  test('is connected once more, anew, and the caller hears a tone until then', async (t) => {
    const lab = await Lab.start(t, { config: SPEAKS_FIRST });
    const { channel, session } = await lab.call();
    const sinceMs = performance.now();
    const rtp = lab.ari.mediaOf(channel.id);
    const second = await lab.session(1);
    t.diagnostic(`connected anew after ${Math.round(performance.now() - sinceMs)} ms`);
    assert.equal(second.events[0]?.reconnected, session.events[0]?.reconnected);
    await until(() => session.closed === 1000, 'the first connection is closed');
    second.speak(speech(3));
    await until(() => rtp.speech().includes(speech(3)), 'the greeting');
    await delay(600);
    assert.equal(lab.bot.attempts, 2);
    assert.equal(lab.logged(WARNING).length, 1);
    lab.ari.hangUp(channel.id);
    assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  });

  test('and does so again is not there: the caller goes on in the dialplan, and the record warns', async (t) => {
    const api = { API_TOKEN: 'token-of-the-api-of-a-test' };
    const lab = await Lab.start(t, { config: { ...SPEAKS_FIRST, ...api } });
    const { channel } = await lab.call();
    const sinceMs = performance.now();
    const ended = await lab.ended();
    t.diagnostic(`given up after ${Math.round(performance.now() - sinceMs)} ms`);
    assert.equal(ended.reason.kind, 'bot-unavailable');
    assert.equal(ended.reason.detail, 'the bot was not heard: no audio within 1500 ms, twice');
    assert.equal(channel.variables.PIPECAT_STATUS, 'bot-unavailable');
    assert.equal(lab.bot.attempts, 2);
    const headers = { authorization: `Bearer ${api.API_TOKEN}` };
    const calls = await fetch(`http://127.0.0.1:${lab.daemon.httpPort}/calls`, { headers });
    const [record] = ((await calls.json()) as { calls: { warnings?: string[] }[] }).calls;
    assert.deepEqual(record?.warnings, ['bot: no audio within 1500 ms']);
  });

  for (const [what, config] of [
    ['', { BOT_SPEAKS_FIRST: 'yes' }],
    [', and keeps the caller ringing no longer', { ANSWER_ON: 'first-audio' }],
  ] as const)
    test(`and breaks off before its time is over gets no more time by that${what}`, async (t) => {
      const lab = await Lab.start(t, {
        config: { ...config, FIRST_AUDIO_MS: '1000', BOT_RECONNECT_MS: '20000' },
      });
      lab.bot.onSession = (session) => void setTimeout(() => session.close(1011), 700);
      const sinceMs = performance.now();
      lab.ari.inbound();
      const { reason } = await lab.ended();
      const tookMs = performance.now() - sinceMs;
      t.diagnostic(`given up after ${Math.round(tookMs)} ms, ${lab.bot.attempts} connections`);
      assert.equal(reason.detail, 'the bot was not heard: no audio within 1000 ms, twice');
      assert.ok(lab.bot.attempts <= 4, 'connected for 2000 ms in sum, 700 ms at most each time');
    });

  test('with ANSWER_ON=first-audio never has the caller answered', async (t) => {
    const lab = await Lab.start(t, { config: { ANSWER_ON: 'first-audio', FIRST_AUDIO_MS: '300' } });
    const channel = lab.ari.inbound();
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-unavailable');
    assert.equal(ended.answered, false);
    assert.deepEqual(channel.done, ['ring', 'continue']);
    assert.equal(lab.bot.attempts, 2);
  });

  test('with ANSWER_ON=first-audio has the caller answered at its second connection, if it speaks there', async (t) => {
    const lab = await Lab.start(t, { config: { ANSWER_ON: 'first-audio', FIRST_AUDIO_MS: '300' } });
    lab.bot.onSession = (session) => {
      if (lab.bot.attempts === 2) session.speak(speech(3));
    };
    const channel = lab.ari.inbound();
    await until(() => channel.state === 'Up', 'the answer');
    const rtp = lab.ari.mediaOf(channel.id);
    await until(() => rtp.speech().includes(speech(3)), 'the greeting');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('may wait for the caller to speak first, unless the operator says otherwise', async (t) => {
    const lab = await Lab.start(t, { config: { FIRST_AUDIO_MS: '100' } });
    const { channel } = await lab.call();
    await delay(600);
    assert.equal(lab.bot.attempts, 1);
    assert.deepEqual(lab.logged(WARNING), []);
    lab.ari.hangUp(channel.id);
    assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  });

  test('and orders a transfer or a key is there', async (t) => {
    const lab = await Lab.start(t, { config: SPEAKS_FIRST });
    const { channel, session } = await lab.call();
    session.send({ event: 'dtmf', digits: '1' });
    await delay(600);
    assert.equal(lab.bot.attempts, 1);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });
});

describe('a bot that is down, for many calls', { concurrency: 4 }, () => {
  const CALLS = 8;
  const RTP = { MEDIA_WORKERS: '2' };

  /** Calls in progress, and the times of the tries since their bot went down. */
  async function calls(lab: Lab): Promise<number[]> {
    for (let call = 0; call < CALLS; call++) await lab.call();
    const tries: number[] = [];
    lab.bot.decide = () => {
      tries.push(performance.now());
      return 503;
    };
    return tries;
  }

  test('is tried by one of them at a time, and when it is back all are connected again', async (t) => {
    const lab = await Lab.start(t, { config: { ...RTP, BOT_RECONNECT_MS: '20000' } });
    const tries = await calls(lab);
    for (const session of lab.bot.sessions) session.cut();
    await until(() => tries.length > 0, 'the first try');
    const DOWN_MS = 3_000;
    await delay(DOWN_MS);
    // All calls of all workers together: each alone would have tried four times.
    assert.ok(tries.length <= CALLS + 6, `${tries.length} tries in ${DOWN_MS} ms`);
    assert.equal(lab.logged('bot not reachable: one call at a time tries').length, 1);
    const { body } = await lab.get('/readyz');
    assert.match(body, /bot not reachable: ws:\/\/127\.0\.0\.1:\d+\/ws\/asterisk: .*503, for \d+ s/);
    assert.equal(await lab.metric('bots_down'), 1);
    assert.equal(await lab.metric('bot_outages_total'), 1);
    lab.bot.decide = () => 'accept';
    const backMs = performance.now();
    for (let call = 0; call < CALLS; call++) {
      const session = await lab.session(CALLS + call);
      assert.equal(session.events[0]?.reconnected, true);
    }
    t.diagnostic(`all connected ${Math.round(performance.now() - backMs)} ms after the bot was back`);
    assert.equal(lab.logged('bot reachable again').length, 1);
    assert.equal(await lab.metric('bots_down'), 0);
    assert.equal(await lab.metric('bot_connects_waiting'), 0);
    for (const channel of [...lab.ari.channels.values()]) lab.ari.hangUp(channel.id);
    await lab.ended(CALLS - 1);
  });

  test('keeps new callers ringing until it is back, and their calls waiting leave nothing behind', async (t) => {
    const lab = await Lab.start(t, { config: { ...RTP, BOT_CONNECT_MS: '20000' } });
    lab.bot.decide = () => 503;
    const callers = Array.from({ length: CALLS }, () => lab.ari.inbound());
    await until(() => lab.logged('bot not reachable: one call at a time tries').length > 0, 'the outage');
    const late = lab.ari.inbound();
    await until(async () => (await lab.metric('bot_connects_waiting')) > 0, 'somebody waits');
    lab.ari.hangUp(callers[0]?.id ?? '');
    lab.ari.hangUp(late.id);
    await lab.ended(1);
    lab.bot.decide = () => 'accept';
    for (const { id } of callers.slice(1))
      await until(() => lab.ari.channels.get(id)?.state === 'Up', 'the answer');
    for (const { id } of callers.slice(1)) lab.ari.hangUp(id);
    await lab.ended(CALLS);
  });

  test('and refuses one of them (403) is not down for the others', async (t) => {
    const lab = await Lab.start(t, { config: { ...RTP, BOT_CONNECT_MS: '3000' } });
    lab.bot.decide = (_attempt, request) => (request.url?.includes('unwanted') ? 403 : 'accept');
    for (let call = 0; call < 4; call++) lab.ari.inbound({ variables: { X_CALL_ID: `unwanted-${call}` } });
    await until(() => lab.bot.attempts >= 8, 'refusals');
    const { channel } = await lab.call();
    assert.deepEqual(lab.logged('bot not reachable: one call at a time tries'), []);
    lab.ari.hangUp(channel.id);
    await lab.ended(4);
  });
});
