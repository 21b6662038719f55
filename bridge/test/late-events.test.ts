import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/** A comparison comes this often. */
const RECONCILE_MS = 250;
const config = { RECONCILE_MS: String(RECONCILE_MS) };

test('what is under way while Asterisk is asked what it holds is no lost event', async (t) => {
  const lab = await Lab.start(t, { config });
  const channel = lab.ari.originate();
  await until(() => lab.ari.log().includes('GET /channels'), 'a comparison');
  const uncork = lab.ari.corked();
  lab.ari.answered(channel);
  lab.ari.hangUp(channel.id);
  await delay(2 * RECONCILE_MS);
  assert.equal(lab.logged('dial failed').length, 0);
  uncork();
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  await delay(3 * RECONCILE_MS);
  assert.equal(lab.logged('call record').length, 1);
});

test('a caller who hangs up while Asterisk says what it holds is no caller who waits', async (t) => {
  const lab = await Lab.start(t, { config });
  const { emit } = lab.ari;
  lab.ari.emit = () => {};
  const caller = lab.ari.inbound();
  lab.ari.emit = emit;
  const left = Promise.withResolvers<undefined>();
  lab.ari.before(/^GET \/bridges$/, () => left.promise);
  let hasShown = false;
  lab.ari.after(/^GET \/channels$/, () => {
    hasShown = true;
    return undefined;
  });
  await until(() => hasShown, 'Asterisk has shown the caller');
  lab.ari.hangUp(caller.id);
  await delay(50);
  left.resolve(undefined);
  await delay(2 * RECONCILE_MS);
  assert.equal(lab.logged('call started').length, 0);
});

test('a caller who comes back from a REFER while their call gives them back, and leaves with it, has no second call', async (t) => {
  const directory = providersDirectory(t, 'COUNTRY_CODE=49\nALLOWED_PREFIXES=+49\nTRANSFER_METHOD=auto\n');
  // The call waits for 5 s for a caller who is in the dialplan, then gives up.
  const limits = { TRANSFER_RING_S: '1', ARI_TIMEOUT_MS: '2000' };
  const lab = await Lab.start(t, { config: { PROVIDERS_DIR: directory, ...limits } });
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: '+493012345678' });
  await until(() => channel.sentTo === 'transfer,refer', 'the caller is in the dialplan');
  const returned = Promise.withResolvers<undefined>();
  let isGivenBack = false;
  lab.ari.before(new RegExp(`^POST /channels/${channel.id}/variable$`), () => {
    isGivenBack = true;
    return returned.promise;
  });
  await until(() => isGivenBack, 'the call ends');
  Object.assign(channel, {
    args: ['refer-result', 'FAILURE', '486', channel.variables.TRANSFER_TOKEN ?? ''],
  });
  const uncork = lab.ari.corked();
  lab.ari.enterStasis(channel);
  channel.sentTo = '';
  returned.resolve(undefined);
  assert.equal((await lab.ended()).reason.kind, 'media-failed');
  await delay(200);
  uncork();
  await delay(300);
  assert.equal(lab.logged('call started').length, 1);
  assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
  lab.ari.hangUp(channel.id);
});

test('a caller who came back is not sent away again while it is not yet known whether they stayed', async (t) => {
  const lab = await Lab.start(t, { config });
  const { channel } = await lab.call();
  lab.ari.hangUp(lab.ari.mediaIdOf(channel.id));
  await lab.ended();
  let isLate = true;
  lab.ari.before(/^POST \/events\/user\/.*mark/, async () => {
    if (!isLate) return undefined;
    isLate = false;
    await delay(8 * RECONCILE_MS);
    return undefined;
  });
  lab.ari.enterStasis(channel);
  await until(() => lab.logged('call started').length === 2, 'their second call');
  const sentAway = lab.ari.log().filter((line) => line === `POST /channels/${channel.id}/continue`);
  assert.equal(sentAway.length, 1);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('no two marks are alike, of whatever connection: one that comes late is not taken for the next', async (t) => {
  const lab = await Lab.start(t, { config });
  lab.ari.dropEvents();
  await until(() => lab.logged('ARI connected').length === 2, 'the second connection');
  const marks = lab.ari.log().filter((line) => /^POST \/events\/user\/.*mark/.test(line));
  assert.ok(marks.length >= 2);
  assert.equal(new Set(marks).size, marks.length);
});
