import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DatagramSocket, Datagrams } from './datagrams.ts';
import { PortPool } from './ports.ts';
import { NoPortError, RtpSockets } from './sockets.ts';

const LOOPBACK = '127.0.0.1';
/** Below those that the kernel picks by itself. */
const FIRST_PORT = 29_600;

test('calls share a port up to what its buffer is good for, and the next one takes another', () => {
  const ports = new PortPool(FIRST_PORT, FIRST_PORT + 3);
  const sockets = new RtpSockets(ports, () => {});
  const calls = [sockets.join(LOOPBACK)];
  const first = calls[0]?.localPort;
  while (calls.at(-1)?.localPort === first) calls.push(sockets.join(LOOPBACK));
  assert.ok(calls.length > 2, `${calls.length - 1} calls on one port`);
  assert.equal(ports.inUse, 2);
  // Places are filled up where there are some already.
  calls[0]?.close();
  const next = sockets.join(LOOPBACK);
  assert.equal(next.localPort, first);
  for (const call of [...calls, next]) call.close();
  assert.equal(ports.inUse, 0);
});

test('each address has its own sockets', () => {
  const sockets = new RtpSockets(new PortPool(FIRST_PORT, FIRST_PORT + 3), () => {});
  const one = sockets.join(LOOPBACK);
  const other = sockets.join('127.0.0.2');
  assert.notEqual(one.localPort, other.localPort);
  one.close();
  other.close();
});

test('a port that another process holds is passed over; without a free one there is an error, and no port is lost', async () => {
  const other = createSocket('udp4');
  other.bind(FIRST_PORT, LOOPBACK);
  await once(other, 'listening');
  const ports = new PortPool(FIRST_PORT, FIRST_PORT + 3);
  const sockets = new RtpSockets(ports, () => {});
  const call = sockets.join(LOOPBACK);
  assert.equal(call.localPort, FIRST_PORT + 2);
  call.close();
  const few = new PortPool(FIRST_PORT, FIRST_PORT + 1);
  assert.throws(() => new RtpSockets(few, () => {}).join(LOOPBACK), NoPortError);
  assert.equal(few.inUse, 0);
  other.close();
});

test('what is refused is counted beyond the life of a socket', { timeout: 10_000 }, async () => {
  const sockets = new RtpSockets(new PortPool(FIRST_PORT, FIRST_PORT + 3), () => {});
  const call = sockets.join(LOOPBACK);
  const stranger = createSocket('udp4');
  stranger.send('hello', call.localPort, LOOPBACK);
  while (sockets.refused === 0) await new Promise(setImmediate);
  call.close();
  assert.equal(sockets.refused, 1);
  stranger.close();
});

test('what is sent while a burst is delivered leaves before its end', { timeout: 10_000 }, async (t) => {
  const far = new DatagramSocket(LOOPBACK, 0, 65_536);
  const arrived = new Datagrams(512);
  const sockets = new RtpSockets(new PortPool(FIRST_PORT, FIRST_PORT + 3), () =>
    sender.send(Buffer.from('due')),
  );
  const sender = sockets.join(LOOPBACK);
  sender.connect(LOOPBACK, far.port);
  const peer = createSocket('udp4');
  peer.bind(0, LOOPBACK);
  await once(peer, 'listening');
  const call = sockets.join(LOOPBACK);
  call.connect(LOOPBACK, peer.address().port);
  // Also where the test fails: an open socket's timer keeps the process alive.
  t.after(() => {
    for (const open of [peer, far, call, sender]) open.close();
  });
  for (let i = 0; i < 20; i++) peer.send(String(i), call.localPort, LOOPBACK);
  const end = Promise.withResolvers<void>();
  call.listen((datagram) => {
    if (String(datagram) !== '19') return;
    arrived.receive(far);
    end.resolve();
  });
  await end.promise;
  assert.ok(arrived.count > 0);
});

test('a thread that is ended frees its ports', { timeout: 10_000 }, async () => {
  const code = `
    const { PortPool } = await import('${new URL('./ports.ts', import.meta.url)}');
    const { RtpSockets } = await import('${new URL('./sockets.ts', import.meta.url)}');
    new RtpSockets(new PortPool(${FIRST_PORT}, ${FIRST_PORT + 1}), () => {}).join('${LOOPBACK}');
    (await import('node:worker_threads')).parentPort.postMessage('open');`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  await once(worker, 'message');
  const sockets = new RtpSockets(new PortPool(FIRST_PORT, FIRST_PORT + 1), () => {});
  assert.throws(() => sockets.join(LOOPBACK), NoPortError);
  await worker.terminate();
  sockets.join(LOOPBACK).close();
});
