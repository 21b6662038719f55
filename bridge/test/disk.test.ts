/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

const ORDER = { to: '+4930777777', provider: 'pb_fintech' };

/**
 * A folder whose database blocks every open, like a network disk that is gone: the file is a pipe
 * without a reader.
 */
function hangingFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-hangs-'));
  const pipe = join(folder, 'calls.db');
  execFileSync('mkfifo', [pipe]);
  t.after(() => {
    // The thread comes back, or the test's process would not end.
    closeSync(openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK));
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A bridge as a process of its own; `shell` is put before it. */
async function start(t: TestContext, lab: Lab, environment: Record<string, string>, shell = ':') {
  const own = { SHUTDOWN_MS: '300', API_TOKEN };
  const { child, output } = await startProcess(t, lab, Object.assign(own, environment), { shell });
  const address = /"http":"([^"]+)"/.exec(output)?.[1];
  const get = async (path: string) => {
    const headers = { authorization: `Bearer ${API_TOKEN}` };
    const response = await fetch(`http://${address}${path}`, { headers });
    return { status: response.status, text: await response.text() };
  };
  return { child, get };
}

test('a disk that hangs is said, and answers are told that no record can be read; calls go on', async (t) => {
  const RECORDS_DIR = hangingFolder(t);
  const lab = await Lab.start(t, {
    config: { API_TOKEN, RECORDS_DIR, PROVIDERS_DIR: providersDirectory(t, 'COUNTRY_CODE=49\n') },
  });
  const [known, unknown, list] = await Promise.all([
    api(lab, 'POST', '/calls', { ...ORDER, callId: 'c-1' }),
    api(lab, 'POST', '/calls', ORDER),
    api(lab, 'GET', '/calls'),
  ]);
  // It might have been ordered before, of the process before: then it would ring twice.
  assert.equal(known.status, 503);
  assert.notEqual(known.headers.get('retry-after'), null);
  assert.equal(unknown.status, 202);
  assert.equal(list.status, 503);
  const warning = await until(async () => {
    const { status, body } = await lab.get('/readyz');
    assert.equal(status, 200);
    return JSON.parse(body).warnings[0];
  }, 'the warning');
  assert.match(warning, /call records cannot be written: the disk has not answered/);
  assert.equal(await lab.metric('records_up'), 0);
  assert.equal((await api(lab, 'GET', `/calls/${unknown.body.callId}`)).status, 200);
  await api(lab, 'DELETE', `/calls/${unknown.body.callId}`);
  await lab.ended();
  assert.equal(lab.logged('call records cannot be written, trying again').length, 1);
  const begun = performance.now();
  await lab.stop();
  assert.ok(performance.now() - begun < 8_000);
});

test('SIGTERM ends a process whose disk hangs', async (t) => {
  const lab = await Lab.start(t);
  const { child } = await start(t, lab, { RECORDS_DIR: hangingFolder(t) });
  child.kill('SIGTERM');
  const limit = new Promise((resolve) => setTimeout(() => resolve(['still there']), 9_000).unref());
  assert.deepEqual(await Promise.race([once(child, 'exit'), limit]), [0, null]);
});

test('a process whose disk hangs leaves its calls by its end: until then its records are not free', async (t) => {
  const lab = await Lab.start(t);
  const { child } = await start(t, lab, { RECORDS_DIR: hangingFolder(t) });
  const channel = lab.ari.inbound();
  await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  const url = `http://127.0.0.1:${lab.ari.port}`;
  const second = await Lab.start(t, { config: { ARI_URL: url } });
  await until(() => lab.ari.apps.appOf(channel.id) !== 'pipecat', 'handed over');
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  const ended = once(child, 'exit');
  for (const signals of [1, 2]) {
    child.kill('SIGTERM');
    await until(() => output.split('signal received').length > signals, 'told to stop');
  }
  const [code] = await ended;
  assert.equal(code, 1);
  assert.equal(lab.ari.log().filter((request) => request.includes('/events/user/left-')).length, 0);
  assert.equal([...lab.ari.globals.variables.values()].includes('ended'), false);
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'adopted');
  lab.ari.hangUp(channel.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
});

test('while the disk is full no list is given out as if there had been no calls; each call is known by its id', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-full-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const lab = await Lab.start(t);
  // No file may grow over 150 KiB.
  const { get } = await start(t, lab, { RECORDS_DIR: folder }, 'ulimit -f 150');
  let last = '';
  const isFull = async () => {
    for (let i = 0; i < 20; i += 1) {
      const channel = lab.ari.originate({ variables: { X_CALL_ID: `c-${i}`, X_TENANT: 'x'.repeat(250) } });
      lab.ari.dialFails(channel, 'BUSY', 17, 486);
      last = channel.id;
    }
    return /call records cannot be written/.test((await get('/readyz')).text);
  };
  await until(isFull, 'the disk is full');
  const list = await get('/calls');
  assert.equal(list.status, 503, list.text.slice(0, 200));
  assert.match(list.text, /would be missing/);
  const found = await get(`/calls/${last}`);
  assert.deepEqual([found.status, JSON.parse(found.text).state], [200, 'closed']);
});
