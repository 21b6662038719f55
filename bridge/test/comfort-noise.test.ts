/**
 * Comfort noise of more than one byte ends an RTP media channel (seen with Asterisk 22.10,
 * e2e/off-nominal/quiet-caller.test.ts). So each channel that receives such noise must not pass it
 * into its bridge.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/**
 * A lab with a provider, whose channels are watched: lists those that entered a bridge with their
 * comfort noise.
 */
async function start(t: TestContext): Promise<{ lab: Lab; noisy: string[]; joined: Set<string> }> {
  const directory = providersDirectory(t, 'COUNTRY_CODE=49\nTRANSFER_METHOD=bridge\n');
  const lab = await Lab.start(t, { config: { API_TOKEN, PROVIDERS_DIR: directory } });
  const noisy: string[] = [];
  const joined = new Set<string>();
  lab.ari.before(/addChannel$/, ({ query }) => {
    const id = query.get('channel') ?? '';
    const channel = lab.ari.channels.get(id);
    if (channel === undefined || channel.rtp !== undefined) return;
    joined.add(id);
    if (!isQuiet(channel)) noisy.push(id);
  });
  return { lab, noisy, joined };
}

const isQuiet = ({ variables }: FakeChannel) => variables['FRAME_DROP(RX)'] === 'CNG';

test('of a caller, and of the second leg of a transfer from its ringing on', async (t) => {
  const { lab, noisy, joined } = await start(t);
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: '+4930999000' });
  const leg = await until(() => {
    const found = lab.ari.channels.get(lab.ari.ownOf(channel.id, 'pct')[0] ?? '');
    return found?.done.includes('dial') && found;
  }, 'the second leg is dialled');
  assert.ok(isQuiet(leg));
  lab.ari.rings(leg);
  lab.ari.picksUp(leg);
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual([...joined].sort(), [channel.id, leg.id].sort());
  assert.deepEqual(noisy, []);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('of a callee whom we call, and of one whom somebody else calls', async (t) => {
  const { lab, noisy, joined } = await start(t);
  const order = { to: '+4930777777', provider: 'pb_fintech', callId: 'c-1' };
  const { body } = await api(lab, 'POST', '/calls', order);
  const ours = await until(() => {
    const found = lab.ari.channels.get(body.channelId);
    return found?.done.includes('dial') && found;
  }, 'dialled');
  assert.ok(isQuiet(ours));
  lab.ari.picksUp(ours);
  const others = lab.ari.originate({ to: '+4930777778' });
  lab.ari.answered(others);
  await until(() => joined.size === 2, 'both talk to their bots');
  assert.deepEqual(noisy, []);
  for (const { id } of [ours, others]) lab.ari.hangUp(id);
  await lab.ended(1);
});

test('of a channel that takes the caller’s place', async (t) => {
  const { lab } = await start(t);
  const { channel } = await lab.call();
  const newcomer = lab.ari.add({ state: 'Up', inStasis: true });
  const swapped = lab.ari.show(channel);
  lab.ari.emit('StasisStart', { channel: lab.ari.show(newcomer), args: [], replace_channel: swapped });
  await until(() => isQuiet(newcomer), 'its comfort noise is dropped');
  lab.ari.hangUp(newcomer.id);
  await lab.ended();
});

test('a channel that cannot be told so has its call all the same', async (t) => {
  const { lab } = await start(t);
  lab.ari.before(/variable$/, () => 409);
  const { channel, session } = await lab.call();
  await until(() => session.of('answered').length > 0, 'answered');
  lab.ari.hangUp(channel.id);
  await lab.ended();
});
