import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN } from './api-client.ts';
import { Lab, until } from './harness.ts';
import { answering, CONFIG, successor, taken } from './http-successor.ts';

const MAIN = new URL('../src/main.ts', import.meta.url).pathname;
/** Settings of a bridge that is a process of its own. */
const BRIDGE = {
  ARI_USERNAME: 'pipecat',
  ARI_PASSWORD: 'right',
  PIPECAT_URL: 'ws://127.0.0.1:9',
  MEDIA_WORKERS: '1',
};
/** One request: its status, or the error's code. */
function answer(port: number, path: string, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${API_TOKEN}` };
    request({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
      response.resume().on('end', () => resolve(String(response.statusCode)));
    })
      .on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
      .end();
  });
}

/** Sends a request every 5 ms until stopped, and at least 300. Returns how many had each answer. */
function load(t: TestContext, port: number, keepAlive: boolean): () => Promise<Record<string, number>> {
  const agent = new Agent({ keepAlive, maxSockets: 8 });
  const answers: Record<string, number> = {};
  const running = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const path = running.size % 2 === 0 ? '/livez' : '/calls';
    const one = answer(port, path, agent).then((status) => {
      answers[status] = (answers[status] ?? 0) + 1;
      running.delete(one);
    });
    running.add(one);
  }, 5);
  t.after(() => clearInterval(timer));
  return async () => {
    const count = () => Object.values(answers).reduce((sum, each) => sum + each, 0);
    await until(() => count() >= 300, 'a load', 60_000);
    clearInterval(timer);
    await Promise.all(running);
    agent.destroy();
    return answers;
  };
}

test('a successor takes the HTTP port: no request is refused or reset, on new connections and on old ones', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const { channel } = await first.call();
  const port = first.daemon.httpPort;
  const before = await answering(first);
  const stops = [load(t, port, true), load(t, port, false)];
  await delay(200);
  const second = await successor(t, first);
  await taken(second);
  await until(async () => (await answering(second)) !== before, 'the new process answers');
  // Longer than the old process listens on.
  await delay(1_500);
  first.ari.hangUp(channel.id);
  await first.ended();
  await first.stop();
  await delay(200);
  for (const stop of stops) {
    const answers = await stop();
    assert.deepEqual(Object.keys(answers), ['200'], JSON.stringify(answers));
    t.diagnostic(`${answers['200']} requests, none refused or reset`);
  }
});

test('the successor ends: the old process answers on the port again', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const before = await answering(first);
  for (const round of [1, 2]) {
    const second = await successor(t, first);
    await taken(second);
    // Before and after the old process has stopped listening.
    await delay(round === 1 ? 0 : 1_200);
    await second.stop();
    await until(() => first.logged('new calls come here again').length === round, 'back');
    assert.equal(await until(() => answering(first).catch(() => undefined), 'the port is open'), before);
  }
});

test('a second successor answers what comes on a connection of the first process', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const port = first.daemon.httpPort;
  const { channel } = await first.call();
  const config = { ...CONFIG, ARI_URL: `http://127.0.0.1:${first.ari.port}`, HTTP_PORT: String(port) };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal(await answer(port, '/livez', agent), '200');
  const second = await Lab.start(t, { config });
  await taken(second);
  // The connection of the agent is older than the handover: the first process has it.
  await delay(1_200);
  const third = await Lab.start(t, { config });
  await taken(third);
  await delay(200);
  await second.stop();
  assert.equal(await answer(port, '/livez', agent), '200');
  first.ari.hangUp(channel.id);
  await first.ended();
});

test('the port of another program, or of a bridge with another app, is in use', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const started = async (config: Record<string, string>) => {
    const child = spawn(process.execPath, [MAIN], {
      env: { ...process.env, ...BRIDGE, ARI_URL: `http://127.0.0.1:${first.ari.port}`, ...config },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const [[code], said] = await Promise.all([once(child, 'exit'), text(child.stdout)]);
    assert.equal(code, 1);
    assert.match(said, /EADDRINUSE/);
  };
  await started({ HTTP_PORT: String(first.daemon.httpPort), ARI_APP: 'other' });
  const program = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
  await new Promise<void>((resolve) => program.listen({ host: '127.0.0.1', port: 0 }, resolve));
  t.after(() => program.close());
  await started({ HTTP_PORT: String((program.address() as AddressInfo).port) });
  // It repeats what /livez tells to everybody.
  const { body } = await first.get('/livez');
  const impostor = createServer((socket) =>
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
  );
  await new Promise<void>((resolve) => impostor.listen({ host: '127.0.0.1', port: 0 }, resolve));
  t.after(() => impostor.close());
  await started({ HTTP_PORT: String((impostor.address() as AddressInfo).port) });
});
