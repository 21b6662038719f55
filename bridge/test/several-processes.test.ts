/**
 * More than one process of the bridge stands by, or takes another one for dead.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openBots } from './app-takers.ts';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';

const TAKEN = 'the Stasis app was taken over by another process';
const BACK = 'new calls come here again';

async function successor(t: TestContext, first: Lab, config: Record<string, string>): Promise<Lab> {
  return await Lab.start(t, { config: { ...config, ARI_URL: `http://127.0.0.1:${first.ari.port}` } });
}

test('a successor whose events stall is not taken for dead before it connects again', async (t) => {
  const config = { ARI_HEARTBEAT_MS: '200' };
  const first = await Lab.start(t, { config });
  const second = await successor(t, first, config);
  await until(() => first.logged('handed over to a new process')[0], 'handed over');
  const channel = first.ari.inbound();
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'the call is up');
  first.ari.deafen();
  const lost = 'the heartbeat through the Stasis app does not come back';
  await until(() => second.logged('ARI not connected, trying again').some(({ why }) => why === lost), 'lost');
  await until(() => second.logged('ARI connected').length === 2, 'connected again');
  await delay(1_000);
  assert.deepEqual([first.logged(BACK).length, second.logged(TAKEN).length], [0, 0]);
  assert.equal(openBots(first, second), 1);
  first.ari.hangUp(channel.id);
  await second.ended();
});

test('two stand by, and the successor dies: one of them has its calls, the other goes on standing by', async (t) => {
  // Without a folder in common they know of each other by their claims only.
  const config = { ARI_HEARTBEAT_MS: '100' };
  const labs = [await Lab.start(t, { config })];
  const [one] = labs as [Lab];
  labs.push(await successor(t, one, config));
  await until(() => one.logged('handed over to a new process')[0], 'the second has the app');
  const [, two] = labs as [Lab, Lab];
  const url = `http://127.0.0.1:${one.ari.port}`;
  const { child } = await startProcess(t, await Lab.start(t, { noWait: true }), { ...config, ARI_URL: url });
  await until(() => two.logged('handed over to a new process')[0], 'the third has the app');
  // Both find it dead before either has the app.
  one.ari.before(/^POST \/asterisk\/variable$/, async ({ query }) => {
    if (query.get('variable') === 'PIPECAT_BRIDGE_pipecat') await delay(150);
    return undefined;
  });
  child.kill('SIGKILL');
  await until(() => labs.some((lab) => lab.logged(BACK).length > 0), 'one of them is back');
  await delay(1_000);
  assert.deepEqual(labs.map((lab) => lab.logged(BACK).length).sort(), [0, 1]);
  assert.equal(labs.flatMap((lab) => lab.logged(TAKEN)).length, 0);
});
