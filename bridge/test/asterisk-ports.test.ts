/** Asterisk out of RTP ports refuses callers by itself, and tells nobody: the bridge does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, until } from './harness.ts';

async function warnings(lab: Lab): Promise<string[]> {
  return JSON.parse((await lab.get('/readyz')).body).warnings;
}

test('a range that is too small for MAX_CALLS is told from the start, in the log too', async (t) => {
  const config = { ASTERISK_RTP_PORT_MIN: '10000', ASTERISK_RTP_PORT_MAX: '10019', MAX_CALLS: '6' };
  const lab = await Lab.start(t, { config });
  const told = await warnings(lab);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /ports for 5 calls .* MAX_CALLS is 6/);
  assert.equal(lab.logged(told[0] ?? '').length, 1);
});

test('nearly all ports in use is told while it lasts, whoever has them', async (t) => {
  const config = { ASTERISK_RTP_PORT_MIN: '10000', ASTERISK_RTP_PORT_MAX: '10009', MAX_CALLS: '2' };
  const lab = await Lab.start(t, { config: { ...config, RECONCILE_MS: '100' } });
  const calls = [await lab.call(), await lab.call()];
  assert.deepEqual(await warnings(lab), []);
  const other = lab.ari.add({ name: 'PJSIP/desk-1', state: 'Up' });
  const told = await until(async () => (await warnings(lab))[0], 'the warning');
  assert.match(told, /5 channels of 5/);
  assert.equal(lab.logged(told).length, 1);
  lab.ari.channels.delete(other.id);
  await until(async () => (await warnings(lab)).length === 0, 'over');
  for (const { channel } of calls) lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('a media channel that Asterisk could not make is told', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.before(/externalMedia$/, () => 500);
  lab.ari.inbound();
  assert.equal((await lab.ended()).reason.kind, 'setup-failed');
  assert.match((await warnings(lab)).join(), /could not make a media channel lately/);
});
