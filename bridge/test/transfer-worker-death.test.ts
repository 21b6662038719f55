/** Slow on purpose: `make test` runs it, `make check` does not. */
// This file runs in a process of its own.
/** If a media worker dies while a second leg rings, or later, the transfer goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';
import { assertTalking, failed, hangUpAndEnd, leg, members, start, TO, told } from './transfer-lab.ts';

Lab.endsThreads = true;

/** The media workers that this process has started: of our threads the only ones with a limit. */
const workers: Worker[] = [];
process.on('worker', (worker) => {
  if (worker.resourceLimits?.maxYoungGenerationSizeMb === 6) workers.push(worker);
});

/** A call whose second leg rings when its worker dies. `again` is what the bot then does. */
async function rings(lab: Lab, again: Lab['bot']['decide']) {
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.rings(second);
  lab.bot.decide = again;
  const former = lab.ari.mediaIdOf(channel.id);
  await workers.at(-1)?.terminate();
  await until(() => ![former, ''].includes(lab.ari.mediaIdOf(channel.id)), 'another media channel');
  return { channel, second };
}

async function assertTransferred(lab: Lab, channel: FakeChannel, second: FakeChannel): Promise<void> {
  const both = [channel.id, second.id].sort();
  await until(() => lab.ari.mediaIdOf(channel.id) === '', 'the media channel goes');
  await delay(300);
  assert.deepEqual(members(lab, channel).sort(), both);
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.hangUp(second.id);
  assert.deepEqual((await lab.ended()).reason, { kind: 'transferred', by: 'bot' });
  assert.equal(lab.ari.channels.size, 0);
}

test('the bot that is connected again is told of the transfer, and nobody hears it', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1', MEDIA_TIMEOUT_MS: '1000' });
  const { channel, second } = await rings(lab, () => 'accept');
  const session = await lab.session(1);
  await until(() => told(session).includes('started'), 'told of the transfer');
  // Longer than the media time-out: no audio is expected.
  await delay(2_200);
  assert.ok(
    !members(lab, channel).includes(lab.ari.mediaIdOf(channel.id)),
    'the media channel is in the bridge',
  );
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual(told(session), ['started', 'completed']);
  await assertTransferred(lab, channel, second);
});

test('a transfer that fails brings the caller back to the bot that is connected again', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1' });
  const { channel, second } = await rings(lab, () => 'accept');
  const session = await lab.session(1);
  await until(() => told(session).includes('started'), 'told of the transfer');
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  await failed(session, 'busy');
  await assertTalking(lab, channel, session);
  await hangUpAndEnd(lab, channel);
});

test('a second leg that answers while the bot is being connected again keeps the caller', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1' });
  const { channel, second } = await rings(lab, () => 'never');
  lab.ari.picksUp(second);
  await assertTransferred(lab, channel, second);
});

test('a bot that cannot be connected again does not stop the transfer', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1', BOT_RECONNECT_MS: '300' });
  const { channel, second } = await rings(lab, () => 503);
  await delay(1_500);
  assert.ok(lab.ari.channels.has(second.id), 'the leg rings on');
  lab.ari.picksUp(second);
  await assertTransferred(lab, channel, second);
});

test('a bot that cannot be connected again ends the call if the transfer fails', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1', BOT_RECONNECT_MS: '300' });
  const { second } = await rings(lab, () => 503);
  await delay(1_500);
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  assert.equal((await lab.ended()).reason.kind, 'media-failed');
});

test('the recording of a transferred call is off, also after the death of its former worker', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_WORKERS: '1', API_TOKEN });
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.picksUp(second);
  await until(() => lab.ari.mediaIdOf(channel.id) === '', 'the media channel goes');
  await workers.at(-1)?.terminate();
  await until(async () => (await lab.metric('media_workers_replaced_total')) === 1, 'replaced');
  const { status, body } = await api(lab, 'POST', `/calls/${channel.id}/recording`, { state: 'pause' });
  assert.deepEqual([status, body], [200, { state: 'off' }]);
  await assertTransferred(lab, channel, second);
});
