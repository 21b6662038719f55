import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Lab, until } from './harness.ts';

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
