import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { addressOf, descriptorOf, writeNow } from './write-now.ts';

async function connected(t: TestContext): Promise<{ stream: Socket; peer: Socket; fd: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const stream = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[peer]] = await Promise.all([once(server, 'connection'), once(stream, 'connect')]);
  return { stream, peer, fd: descriptorOf(stream) };
}

test('bytes go to the kernel until it is full, and none pass those that wait', {
  timeout: 10_000,
}, async (t) => {
  const { stream, peer, fd } = await connected(t);
  const bytes = Buffer.alloc(10_000, 'x');
  const write = () => writeNow(stream, fd, addressOf(bytes), bytes.length);
  assert.equal(write(), bytes.length);
  let taken = bytes.length;
  while (taken === bytes.length) taken = write();
  const written = new Promise((resolve) => stream.write(bytes.subarray(taken), resolve));
  assert.equal(write(), 0);
  peer.resume();
  await written;
  assert.equal(write(), bytes.length);
  stream.destroy();
  peer.destroy();
  assert.equal(write(), 0);
});

test('the bytes are those of the place', { timeout: 10_000 }, async (t) => {
  const { stream, peer, fd } = await connected(t);
  const bytes = Buffer.alloc(10_000, 'the right ones ');
  const part = bytes.subarray(4, 9);
  assert.equal(writeNow(stream, fd, addressOf(part), part.length), 5);
  assert.equal(String((await once(peer, 'data'))[0]), 'right');
  stream.destroy();
  peer.destroy();
});

test('the descriptor of a stream that was destroyed is not written to, whoever has it now', {
  timeout: 10_000,
}, async (t) => {
  const first = await connected(t);
  first.stream.destroy();
  first.peer.destroy();
  await once(first.stream, 'close');
  const others = await Promise.all([connected(t), connected(t), connected(t)]);
  const bytes = Buffer.alloc(10_000, 'x');
  assert.equal(writeNow(first.stream, first.fd, addressOf(bytes), bytes.length), 0);
  for (const { stream, peer } of others) {
    assert.equal(peer.bytesRead, 0);
    stream.destroy();
    peer.destroy();
  }
});

test('a stream without a descriptor takes nothing', async () => {
  const { Socket } = await import('node:net');
  const stream = new Socket();
  assert.equal(descriptorOf(stream), -1);
  assert.equal(writeNow(stream, -1, addressOf(Buffer.alloc(10_000)), 10_000), 0);
});

test('a connection that is broken takes nothing', { timeout: 10_000 }, async (t) => {
  const { stream, peer, fd } = await connected(t);
  const bytes = Buffer.alloc(10_000, 'x');
  const failed = once(stream, 'error');
  peer.resetAndDestroy();
  while (writeNow(stream, fd, addressOf(bytes), 1) > 0) {}
  // The stream finds out by itself.
  stream.write('x');
  await failed;
});
