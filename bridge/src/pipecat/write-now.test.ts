import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { writeNow } from './write-now.ts';

async function connected(t: TestContext): Promise<{ stream: Socket; peer: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const stream = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[peer]] = await Promise.all([once(server, 'connection'), once(stream, 'connect')]);
  return { stream, peer };
}

test('bytes go to the kernel until it is full, and none pass those that wait', {
  timeout: 10_000,
}, async (t) => {
  const { stream, peer } = await connected(t);
  const bytes = Buffer.alloc(10_000, 'x');
  assert.equal(writeNow(stream, bytes), bytes.length);
  let taken = bytes.length;
  while (taken === bytes.length) taken = writeNow(stream, bytes);
  const written = new Promise((resolve) => stream.write(bytes.subarray(taken), resolve));
  assert.equal(writeNow(stream, bytes), 0);
  peer.resume();
  await written;
  assert.equal(writeNow(stream, bytes), bytes.length);
  stream.destroy();
  peer.destroy();
  assert.equal(writeNow(stream, bytes), 0);
});

test('a connection that is broken takes nothing', { timeout: 10_000 }, async (t) => {
  const { stream, peer } = await connected(t);
  const failed = once(stream, 'error');
  peer.resetAndDestroy();
  while (writeNow(stream, Buffer.from('x')) > 0) {}
  // The stream finds out by itself.
  stream.write('x');
  await failed;
});
