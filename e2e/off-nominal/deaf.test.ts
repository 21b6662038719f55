/**
 * An Asterisk that came up deaf: it mends itself, or it ends and Docker starts it anew. It is never
 * `unhealthy` for ever.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import type { StartedTestContainer } from 'testcontainers';
import { removeOrphans, startRestartingAsterisk, stateOf } from '../stack/containers.ts';
import { LOCALHOST, PORTS } from '../stack/ports.ts';
import { until } from '../stack/stack.ts';
import { takeTurn } from '../stack/turn.ts';

const BY_ADDRESS = { 'acme.env': 'AUTH=ip\nMATCH=127.0.0.2\n' };
const HOST = 'sip.deaf.invalid';
const BY_NAME = {
  'acme.env': `AUTH=registration\nHOST=${HOST}\nUSERNAME=me\nPASSWORD_VARIABLE=ACME_PASSWORD\n`,
};
/** Longer than watch, Asterisk's end and its start take together. */
const MENDED_MS = 60_000;

let turn: Disposable;
let asterisk: StartedTestContainer | undefined;
beforeEach(async () => {
  turn = await takeTurn();
  await removeOrphans();
});
afterEach(async () => {
  await asterisk?.stop();
  turn[Symbol.dispose]();
});

async function output(container: StartedTestContainer, ...command: string[]): Promise<string> {
  return (await container.exec(command)).output;
}

const healthy = (container: StartedTestContainer) =>
  until('healthy', MENDED_MS, async () => (await stateOf(container)).health === 'healthy');

test('the SIP port is taken, unseen by the check at the start: Asterisk is started anew until it is free', async () => {
  // A socket that is connected does not look like one that listens.
  const other = createSocket('udp4').bind(PORTS.sip, LOCALHOST);
  await once(other, 'listening');
  other.connect(9, LOCALHOST);
  await once(other, 'connect');
  asterisk = await startRestartingAsterisk(PORTS, BY_ADDRESS);
  const container = asterisk;
  await until('started anew', MENDED_MS, async () => (await stateOf(container)).restarts > 0);
  other.close();
  await healthy(container);
  assert.match(await output(container, 'asterisk', '-rx', 'pjsip show transports'), /udp +udp .*25060/);
});

test('SIP_ADDRESS is not on the host: Asterisk does not run deaf, it ends and is started anew', async () => {
  asterisk = await startRestartingAsterisk(PORTS, BY_ADDRESS, { SIP_ADDRESS: '192.0.2.1' });
  const container = asterisk;
  await until('started anew', MENDED_MS, async () => (await stateOf(container)).restarts > 0);
});

test('a provider’s name cannot be resolved at the start: it is known as soon as it can, without a restart', async () => {
  asterisk = await startRestartingAsterisk(PORTS, BY_NAME);
  const container = asterisk;
  await healthy(container);
  const known = () => output(container, 'asterisk', '-rx', 'pjsip show identifies');
  assert.doesNotMatch(await known(), /acme/);
  const told = `echo 127.0.0.3 ${HOST} >>/etc/hosts`;
  assert.equal((await container.exec(['sh', '-c', told], { user: 'root' })).exitCode, 0);
  await until('the provider is known', MENDED_MS, async () => /acme[\s\S]*127\.0\.0\.3/.test(await known()));
  assert.equal((await stateOf(container)).restarts, 0);
});
