import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { pino } from 'pino';
import type { Resolve } from '../src/dns/name-lookups.ts';
import { StatusCallbacks } from '../src/reports/callbacks.ts';
import { API_TOKEN, api, listen } from './api-client.ts';
import { Lab, until } from './harness.ts';

/** Fields of a callback, if the test is not about them. */
const FIELDS = {
  call_sid: 'a',
  call_id: 'a',
  status: 'completed',
  outcome: 'answered',
  cause: '16',
} as const;

/** A receiver that answers as told, then with 200. */
async function receiver(t: TestContext, answers: [number, Record<string, string>][] = []) {
  const asked: { atMs: number; request: IncomingMessage }[] = [];
  const server = createServer((request, response) => {
    asked.push({ atMs: performance.now(), request });
    request.resume();
    response.writeHead(...(answers.shift() ?? [200, {}])).end();
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { asked, port: (server.address() as AddressInfo).port };
}

function failedDial(lab: Lab, url: string): void {
  const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: url } });
  lab.ari.dialFails(channel, 'BUSY', 17, 486);
}

test('user and password of a callback URL are sent as Authorization, and shown to nobody', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const events = await listen(lab);
  t.after(events.stop);
  const { asked, port } = await receiver(t);
  const channel = lab.ari.originate({
    variables: { X_CALLBACK_URL: `http://me:p%40ss@127.0.0.1:${port}/done`, X_CALL_ID: 'c-1' },
  });
  const shown = await until(async () => (await api(lab, 'GET', '/calls/c-1')).body, 'the dial');
  assert.match(shown.callbackUrl, /127\.0\.0\.1/);
  assert.doesNotMatch(JSON.stringify([shown, events.received, lab.logs]), /p%40ss|p@ss/);
  lab.ari.dialFails(channel, 'BUSY', 17, 486);
  await until(() => asked.length > 0, 'the callback');
  assert.equal(asked[0]?.request.headers.authorization, `Basic ${btoa('me:p@ss')}`);
  assert.equal(asked[0]?.request.url, '/done');
});

for (const status of [429, 503]) {
  test(`Retry-After of a ${status} is heeded, for the receiver's other callbacks as well`, async (t) => {
    const lab = await Lab.start(t);
    const { asked, port } = await receiver(t, [[status, { 'retry-after': '2' }]]);
    failedDial(lab, `http://127.0.0.1:${port}/a`);
    await until(() => asked.length === 1, 'the first try');
    await until(async () => (await lab.metric('callbacks_failed_tries_total')) === 1, 'noted');
    failedDial(lab, `http://127.0.0.1:${port}/b`);
    await until(() => asked.length === 3, 'both');
    for (const { atMs } of asked.slice(1)) assert.ok(atMs - (asked[0]?.atMs ?? 0) > 1_900, `${atMs}`);
    assert.equal(await lab.metric('callbacks_failed_total'), 0);
  });
}

test('Retry-After is a time to wait, though the clock is set back meanwhile', async (t) => {
  const lab = await Lab.start(t);
  const { asked, port } = await receiver(t, [[429, { 'retry-after': '2' }]]);
  failedDial(lab, `http://127.0.0.1:${port}/a`);
  await until(async () => (await lab.metric('callbacks_failed_tries_total')) === 1, 'noted');
  const Real = Date;
  t.mock.method(globalThis.Date, 'now', () => new Real().getTime() - 3_600_000);
  failedDial(lab, `http://127.0.0.1:${port}/b`);
  await until(() => asked.length === 3, 'both');
});

test('a caller who comes in has nobody told, unless the operator names the host', async (t) => {
  const { asked, port } = await receiver(t);
  const X_CALLBACK_URL = `http://127.0.0.1:${port}/`;
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { channel } = await lab.call({ variables: { X_CALLBACK_URL } });
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.match(String(lab.logged('call started')[0]?.remarks), /CALLBACK_HOSTS/);
  const allowing = await Lab.start(t, { config: { CALLBACK_HOSTS: '127.0.0.1' } });
  const call = await allowing.call({ variables: { X_CALLBACK_URL } });
  allowing.ari.hangUp(call.channel.id);
  await allowing.ended();
  await until(() => asked.length > 0, 'the callback');
  assert.equal(asked.length, 1);
});

test('where the operator names hosts no other is asked, whoever sets the URL', async (t) => {
  const { asked, port } = await receiver(t);
  const lab = await Lab.start(t, { config: { API_TOKEN, CALLBACK_HOSTS: 'backend.example' } });
  failedDial(lab, `http://127.0.0.1:${port}/`);
  await until(() => lab.logged('status callback given up')[0], 'refused');
  assert.equal(await lab.metric('callbacks_failed_total'), 1);
  const callbackUrl = `http://127.0.0.1:${port}/`;
  const { status } = await api(lab, 'POST', '/calls', { to: '+49301', provider: 'x', callbackUrl });
  assert.equal(status, 422);
  assert.equal(asked.length, 0);
});

test('a metadata address is asked for by nobody, under a name neither', async (t) => {
  const lab = await Lab.start(t, { config: { CALLBACK_TRIES: '1' } });
  for (const host of ['169.254.169.254', '0xa9fea9fe', '[::ffff:a9fe:a9fe]'])
    failedDial(lab, `http://${host}/`);
  await until(() => lab.logged('status callback given up').length === 3, 'refused');
});

test('receivers whose names nobody answers for take no more than four threads of the resolver', async () => {
  const asked: string[] = [];
  const silent: Resolve = (name) => void asked.push(name);
  const store = { storeCallback() {}, forgetCallback() {}, callbacks: async () => [] };
  const log = pino({ level: 'silent' });
  for (const hosts of [[], ['*.example']]) {
    asked.length = 0;
    const callbacks = new StatusCallbacks({ secret: undefined, tries: 3, hosts }, store, log, silent);
    for (let i = 0; i < 40; i++) callbacks.post(`http://h${i % 20}.example/`, FIELDS);
    await until(() => asked.length > 0, 'the first name');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(asked.length, 4);
    await callbacks.close(0);
  }
});

test('a name that has none but such addresses is given up at once', async (t) => {
  const resolve: Resolve = (_name, _options, done) => done(null, [{ address: '169.254.169.254', family: 4 }]);
  const store = { storeCallback() {}, forgetCallback() {}, callbacks: async () => [] };
  const settings = { secret: undefined, tries: 20, hosts: [] };
  const callbacks = new StatusCallbacks(settings, store, pino({ level: 'silent' }), resolve);
  t.after(() => callbacks.close(0));
  callbacks.post('http://metadata.example/', FIELDS);
  await until(() => callbacks.pending === 0, 'given up');
  assert.deepEqual(callbacks.stats, { delivered: 0, failed: 1, dropped: 0, failedTries: 1 });
});

/** What a receiver writes when it has been asked, and then every 100 ms. */
const drips: readonly (readonly [string, string, string, 'delivered' | 'failed'])[] = [
  ['its answer', 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n', 'x', 'delivered'],
  ['its chunked answer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n', 'delivered'],
  ['a refusal', 'HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n', 'x', 'failed'],
  ['its header', 'HTTP/1.1 200 OK\r\nX-Long: ', 'y', 'failed'],
  ['interim answers', '', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'failed'],
];

describe('a receiver that drips', { concurrency: true }, () => {
  for (const [what, begin, drip, outcome] of drips) {
    test(`${what}: is not waited for without end`, { timeout: 20_000 }, async (t) => {
      const server = createTcpServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.write(begin);
          const dripping = setInterval(() => socket.write(drip), 100);
          socket.on('close', () => clearInterval(dripping));
        });
      });
      server.listen(0, '127.0.0.1').unref();
      await once(server, 'listening');
      const store = { storeCallback() {}, forgetCallback() {}, callbacks: async () => [] };
      const settings = { secret: undefined, tries: 1, hosts: [] };
      const callbacks = new StatusCallbacks(settings, store, pino({ level: 'silent' }));
      t.after(() => callbacks.close(0));
      t.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      callbacks.post(`http://127.0.0.1:${port}/`, FIELDS);
      await until(() => callbacks.pending === 0, 'the callback is done');
      assert.equal(callbacks.stats[outcome], 1);
      const open = () =>
        new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
      await until(async () => (await open()) === 0, 'the connection is closed');
    });
  }
});
