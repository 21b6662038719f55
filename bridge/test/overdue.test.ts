import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, until } from './harness.ts';

const LIMIT_MS = 60_000;
const kinds = ['call', 'channel', 'task'];

/** What `/metrics` says is overdue, by kind. */
async function overdue(lab: Lab, name: 'overdue' | 'overdue_total'): Promise<number[]> {
  return await Promise.all(kinds.map((kind) => lab.metric(`${name}{kind="${kind}"}`)));
}

/** A look at this time; the looks by the real clock have ended. */
function lookAt({ daemon }: Lab, nowMs: number): void {
  daemon.overdue.stop();
  daemon.overdue.look(nowMs);
}

test('a channel that Asterisk never releases is told of after a minute, until it is gone', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '100', RECONCILE_MS: '100' } });
  let isDeaf = true;
  const never = () => (isDeaf ? new Promise<never>(() => {}) : undefined);
  lab.ari.before(/^DELETE \/channels\//, never);
  const { channel, session } = await lab.call();
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
  lookAt(lab, 0);
  lookAt(lab, LIMIT_MS - 1_000);
  assert.deepEqual(await overdue(lab, 'overdue_total'), [0, 0, 0]);
  lookAt(lab, LIMIT_MS);
  assert.deepEqual(await overdue(lab, 'overdue'), [0, 1, 0]);
  const [line] = lab.logged('does not end');
  assert.deepEqual([line?.level, line?.kind, line?.channelId], [50, 'channel', channel.id]);
  isDeaf = false;
  await until(() => !lab.ari.channels.has(channel.id), 'the channel is hung up');
  await until(async () => {
    lookAt(lab, LIMIT_MS + 1_000);
    return (await lab.metric('overdue{kind="channel"}')) === 0;
  }, 'it is overdue no more');
  assert.deepEqual(await overdue(lab, 'overdue_total'), [0, 1, 0]);
  assert.equal(lab.logged('has ended after all').length, 1);
});

test('a hang-up that Asterisk accepts and never does is told of after a minute, until it is done', async (t) => {
  const lab = await Lab.start(t, { config: { RECONCILE_MS: '100' } });
  let isIdle = true;
  let asked = 0;
  const { channel, session } = await lab.call();
  lab.ari.before(new RegExp(`^DELETE /channels/${channel.id}$`), () => {
    asked += 1;
    return isIdle ? 204 : undefined;
  });
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
  await until(() => asked > 3, 'comparisons repeat it');
  lookAt(lab, 0);
  lookAt(lab, LIMIT_MS - 1_000);
  assert.deepEqual(await overdue(lab, 'overdue_total'), [0, 0, 0]);
  lookAt(lab, LIMIT_MS);
  assert.deepEqual(await overdue(lab, 'overdue'), [0, 1, 0]);
  assert.equal(lab.logged('does not end')[0]?.channelId, channel.id);
  isIdle = false;
  await until(() => !lab.ari.channels.has(channel.id), 'the channel is hung up');
  await until(async () => {
    lookAt(lab, LIMIT_MS + 1_000);
    return (await lab.metric('overdue{kind="channel"}')) === 0;
  }, 'it is overdue no more');
});

test('a call whose release waits for an Asterisk that never answers is told of after a minute', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '60000', BOT_RECONNECT_MS: '0' } });
  const held: (() => void)[] = [];
  const never = () => new Promise<undefined>((resolve) => held.push(() => resolve(undefined)));
  const { channel, session } = await lab.call();
  lab.ari.before(/^DELETE \/channels\//, never);
  session.send({ event: 'hangup', immediate: true });
  await until(() => held.length > 0, 'the release has begun');
  lookAt(lab, 0);
  lookAt(lab, LIMIT_MS);
  assert.deepEqual(await overdue(lab, 'overdue'), [1, 0, 0]);
  const [line] = lab.logged('does not end');
  assert.deepEqual([line?.kind, line?.channelId, line?.forS], ['call', channel.id, 60]);
  const letGo = setInterval(() => held.splice(0).forEach((resolve) => void resolve()), 5);
  t.after(() => clearInterval(letGo));
  await lab.ended();
  lookAt(lab, LIMIT_MS + 1_000);
  assert.deepEqual(await overdue(lab, 'overdue'), [0, 0, 0]);
});

test('a live call and last words of any length are not overdue', async (t) => {
  const lab = await Lab.start(t);
  const { session } = await lab.call();
  session.speak(Buffer.alloc(160 * 200, 0x10));
  session.send({ event: 'hangup' });
  await until(async () => (await lab.get('/readyz')).status === 200, 'ready');
  lookAt(lab, 0);
  lookAt(lab, LIMIT_MS);
  assert.deepEqual(lab.logged('does not end'), []);
  await lab.ended();
});

test('a task that waits for an Asterisk that never answers is told of by its name', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '60000' } });
  const held: (() => void)[] = [];
  lab.ari.showsVariables = false;
  lab.ari.before(
    /^GET \/channels\/.*\/variable/,
    () => new Promise<undefined>((resolve) => held.push(() => resolve(undefined))),
  );
  const channel = lab.ari.inbound();
  await until(() => held.length > 0, 'its variables are asked for');
  lookAt(lab, 0);
  lookAt(lab, LIMIT_MS);
  const named = lab.logged('does not end').map(({ what }) => what);
  assert.deepEqual(named, ['read the variables of a call']);
  const letGo = setInterval(() => held.splice(0).forEach((resolve) => void resolve()), 5);
  t.after(() => clearInterval(letGo));
  await lab.session();
  lab.ari.hangUp(channel.id);
  await lab.ended();
});
