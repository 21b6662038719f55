/** Slow on purpose: `make test` runs it, `make check` does not. */
// This file runs in a process of its own.
/** If a media worker dies during the set-up of a call, at whichever step, the call survives. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { API_TOKEN, api } from './api-client.ts';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';
import { SETUP_STEPS } from './setup-steps.ts';

Lab.endsThreads = true;

/**
 * The live media workers (the only threads of this process with a limit), and whether each has
 * loaded.
 */
const workers = new Map<Worker, boolean>();
process.on('worker', (worker) => {
  if (worker.resourceLimits?.maxYoungGenerationSizeMb !== 6) return;
  workers.set(worker, false);
  worker.once('message', () => workers.set(worker, true));
  worker.once('exit', () => workers.delete(worker));
});

const loaded = () => until(() => [...workers.values()].every((hasLoaded) => hasLoaded), 'workers loaded');

/**
 * Ends all media workers at once, but none that is still loading: a library that is being loaded
 * then would end the process.
 */
async function kill(): Promise<undefined> {
  await loaded();
  await Promise.all([...workers.keys()].map((worker) => worker.terminate()));
}

/** Both are heard; then the caller hangs up. */
async function talks(lab: Lab, channel: FakeChannel, after: number): Promise<void> {
  const session = await until(() => {
    const last = lab.bot.sessions.at(-1);
    return lab.bot.sessions.length > after && last?.closed === undefined && last?.of('answered').length === 1
      ? last
      : undefined;
  }, 'answered');
  await until(() => session.of('media').length > 0, 'relayed');
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(2));
  await until(() => rtp.speech().length >= 320, 'heard by the caller');
  const said = speech(5, 3);
  for (let at = 0; at < said.length; at += 160) rtp.send(said.subarray(at, at + 160));
  await until(() => session.audio().includes(said), 'heard by the bot');
  assert.equal(session.of('start')[0]?.reconnected, undefined, 'the caller has heard no bot yet');
  assert.equal(lab.ari.ownOf(channel.id, 'pcm').length, 1);
  assert.equal(channel.state, 'Up');
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
}

/** No media worker takes part in the subscription. */
const STEPS = SETUP_STEPS.filter(({ step }) => step !== 'the subscription');

describe('workers die in a set-up', () => {
  for (const when of ['before', 'after'] as const) {
    for (const [index, step] of STEPS.entries()) {
      test(`${when} ${step.step}`, async (t) => {
        const lab = await Lab.start(t, { config: { MEDIA_WORKERS: String(1 + (index % 2)) } });
        await loaded();
        let count = 0;
        lab.ari[when](step.pattern, () => {
          count += 1;
          return count === ('nth' in step ? step.nth : 1) ? kill() : undefined;
        });
        await talks(lab, lab.ari.inbound(), 0);
      });
    }
  }

  test('while the bot is being connected', async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
    await loaded();
    lab.bot.decide = (attempt) => (attempt === 1 ? kill().then(() => 'never' as const) : 'accept');
    await talks(lab, lab.ari.inbound(), 0);
    assert.equal(lab.bot.attempts, 2);
  });

  test('while the media is being opened', async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
    await loaded();
    const channel = lab.ari.inbound();
    // The thread is told to end before its request is.
    await kill();
    await talks(lab, channel, 0);
  });

  test('two in a row', async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
    await loaded();
    lab.bot.decide = (attempt) => (attempt <= 2 ? kill().then(() => 'never' as const) : 'accept');
    await talks(lab, lab.ari.inbound(), 0);
    assert.equal(lab.bot.attempts, 3);
  });

  test('again and again: the caller is given back', async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
    await loaded();
    lab.bot.decide = () => kill().then(() => 'never' as const);
    const channel = lab.ari.inbound();
    assert.equal((await lab.ended()).reason.kind, 'media-failed');
    assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
    assert.ok(lab.bot.attempts <= 4, `${lab.bot.attempts} workers`);
  });

  test('while the bot has yet to speak, and the answer waits for it', async (t) => {
    const lab = await Lab.start(t, { config: { ANSWER_ON: 'first-audio', FIRST_AUDIO_MS: '4000' } });
    await loaded();
    const channel = lab.ari.inbound();
    await lab.session();
    await kill();
    const next = await lab.session(1);
    assert.equal(channel.state, 'Ring');
    next.speak(speech(2));
    await talks(lab, channel, 1);
  });

  test('while the phone of a callee rings', async (t) => {
    const directory = providersDirectory(t, 'COUNTRY_CODE=49\n');
    const lab = await Lab.start(t, { config: { API_TOKEN, PROVIDERS_DIR: directory } });
    await loaded();
    const order = { to: '+4930777777', provider: 'pb_fintech' };
    assert.equal((await api(lab, 'POST', '/calls', order)).status, 202);
    const channel = await until(
      () => [...lab.ari.channels.values()].find((one) => one.ringSeconds !== undefined),
      'dialled',
    );
    lab.ari.rings(channel);
    await until(() => lab.bot.sessions.length === 1 && lab.ari.mediaIdOf(channel.id) !== '', 'the bot');
    await delay(50);
    await kill();
    await until(() => lab.bot.sessions.length === 2, 'the bot again');
    assert.equal(lab.bot.sessions[1]?.of('start').length, 0);
    lab.ari.picksUp(channel);
    await talks(lab, channel, 1);
  });

  test('all of four at once, in a set-up and in calls', async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '4' } });
    await loaded();
    const calls = [await lab.call(), await lab.call(), await lab.call()];
    lab.bot.decide = (attempt) => (attempt === 4 ? kill().then(() => 'never' as const) : 'accept');
    const channel = lab.ari.inbound();
    const isUp = (session: BotSession) => session.closed === undefined && session.of('answered').length === 1;
    await until(() => lab.bot.attempts >= 8 && lab.bot.sessions.filter(isUp).length === 4, 'all');
    assert.equal(lab.logged('call ended').length, 0);
    for (const call of [...calls, { channel }]) lab.ari.hangUp(call.channel.id);
    assert.equal((await lab.ended(3)).reason.kind, 'caller-hangup');
  });
});
