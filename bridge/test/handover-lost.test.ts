/**
 * The app is taken from a process that did not hand it over in time, or that dies meanwhile.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN } from './api-client.ts';
import { askInVain, openBots, takeByForce } from './app-takers.ts';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';
import { CONFIG, taken } from './http-successor.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '100', RECONCILE_MS: '200' };
const TAKEN = 'the Stasis app was taken over by another process';

async function successor(t: TestContext, first: Lab, config: Record<string, string>): Promise<Lab> {
  const url = `http://127.0.0.1:${first.ari.port}`;
  return await Lab.start(t, { noWait: true, config: { ...config, ARI_URL: url } });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The holder reads the request of a successor, and all later events, so much later. */
function hearsLate(lab: Lab, ms: number): void {
  let isFirst = true;
  lab.ari.before(/^POST \/events\/user\/handover-/, () => {
    if (!isFirst) return undefined;
    isFirst = false;
    setTimeout(lab.ari.corked(), ms);
    return undefined;
  });
}

/** How the process of a lab ends, as soon as it does. */
async function way(lab: Lab): Promise<string> {
  let found: string | undefined;
  void lab.daemon.departure.way().then((way) => {
    found = way;
  });
  return await until(() => found, 'the process is to end', 5_000);
}

test('a process that lost the app by force ends after SIGQUIT', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  await takeByForce(t, lab);
  await until(() => lab.logged(TAKEN)[0], 'taken');
  lab.daemon.departure.retire();
  assert.equal(await way(lab), 'stop');
});

test('a process that lost the app by force, and stands by, has it again with its orders and its gate', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const second = await (async () => {
    lab.ari.before(/^POST \/events\/user\/handover-/, () => 404);
    return await successor(t, lab, FAST);
  })();
  await until(() => lab.logged(TAKEN)[0], 'taken');
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  await second.stop();
  await until(() => lab.logged('new calls come here again')[0], 'back');
  await until(async () => (await lab.get('/readyz')).status === 200, 'ready');
  const { channel } = await lab.call();
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

// The successor waits 1 s for the first answer.
for (const ms of [1_050, 1_200]) {
  test(`a holder without calls that hears of its successor after ${ms} ms ends after SIGTERM`, async (t) => {
    const first = await Lab.start(t);
    hearsLate(first, ms);
    const second = await successor(t, first, {});
    await until(() => second.logged('ARI connected')[0], 'the second has the app');
    await until(
      () => first.logged(TAKEN)[0] ?? first.logged('handed over to a new process')[0],
      'the first knows',
    );
    first.daemon.departure.stop();
    assert.equal(await way(first), 'stop');
  });

  test(`a holder with calls that hears of its successor after ${ms} ms: each caller has one bot`, async (t) => {
    const first = await Lab.start(t);
    const channels = [(await first.call()).channel, (await first.call()).channel];
    hearsLate(first, ms);
    const second = await successor(t, first, {});
    await until(() => second.logged('ARI connected')[0], 'the second has the app');
    await until(
      () => first.logged(TAKEN)[0] ?? first.logged('handed over to a new process')[0],
      'the first knows',
    );
    // Whatever either of them does late is done by then.
    await delay(2_000);
    assert.equal(openBots(first, second), 2);
    for (const { id } of channels) {
      assert.equal(first.ari.membersOf(id)?.size, 2);
      first.ari.hangUp(id);
    }
    await until(() => openBots(first, second) === 0, 'the calls have ended');
  });
}

test('a holder that stands still when it is asked leaves the HTTP port to its successor', async (t) => {
  const lab = await Lab.start(t, { config: CONFIG });
  const config = { ...CONFIG, HTTP_PORT: String(await freePort()) };
  const { child } = await startProcess(t, lab, config);
  lab.ari.before(/^POST \/events\/user\/handover-/, () => {
    child.kill('SIGSTOP');
    return undefined;
  });
  const second = await successor(t, lab, config);
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  child.kill('SIGCONT');
  await taken(second);
  // The first answers may come on a connection that the old process still has.
  await until(async () => (await second.get('/readyz')).status === 200, 'the second answers', 2_000);
  child.kill('SIGQUIT');
  await once(child, 'exit');
  assert.equal(child.exitCode, 0);
});

for (const step of ['asked', 'ready'] as const) {
  test(`the holder dies after it has answered \`${step}\`: its successor does not wait for it`, async (t) => {
    const lab = await Lab.start(t, { config: FAST });
    const directory = mkdtempSync(join(tmpdir(), 'handover-lost-'));
    t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
    const records = { ...FAST, RECORDS_DIR: directory, API_TOKEN };
    const { child } = await startProcess(t, lab, records);
    const channel = lab.ari.inbound();
    await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
    lab.ari.after(/^POST \/asterisk\/variable$/, ({ query }) => {
      if (query.get('value') === step) child.kill('SIGKILL');
      return undefined;
    });
    const sinceMs = performance.now();
    const second = await successor(t, lab, records);
    const session = await second.session();
    await until(() => session.of('answered').length > 0, 'adopted');
    const ms = performance.now() - sinceMs;
    t.diagnostic(`served after ${Math.round(ms)} ms`);
    assert.ok(ms < 10_000, `${ms} ms`);
    lab.ari.hangUp(channel.id);
    assert.equal((await second.ended()).reason.kind, 'caller-hangup');
  });
}

test('an app of its own that opens too late: the next successor waits for it, each caller has one bot', async (t) => {
  const first = await Lab.start(t);
  const { channel, session } = await first.call();
  first.ari.appDelayMs = 3_500;
  await askInVain(first);
  first.ari.appDelayMs = 0;
  const second = await successor(t, first, {});
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  await delay(1_500);
  assert.equal(openBots(first, second), 1);
  assert.equal(session.closed, undefined);
  first.ari.hangUp(channel.id);
  assert.equal((await first.ended()).reason.kind, 'caller-hangup');
});
