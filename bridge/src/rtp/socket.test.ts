import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { SharedSocket } from './socket.ts';

const LOOPBACK = '127.0.0.1';
const owner = { onIdle: () => {}, onBusy: () => {} };

function openShared(): SharedSocket {
  return new SharedSocket(LOOPBACK, 0, owner);
}

async function openPeer(
  t: TestContext,
  address = LOOPBACK,
  port = 0,
): Promise<{ peer: Socket; port: number }> {
  const peer = createSocket('udp4');
  peer.bind(port, address);
  await once(peer, 'listening');
  t.after(() => peer.close());
  return { peer, port: peer.address().port };
}

/** As the owner does every 2 ms. */
async function receiveUntil(shared: SharedSocket, isDone: () => boolean): Promise<void> {
  for (let turns = 0; !isDone(); turns++) {
    assert.ok(turns < 10_000, 'what was sent does not arrive');
    await new Promise(setImmediate);
    shared.receive();
  }
}

/** On loopback a datagram is in the receiver's buffer when its sending is reported. */
function sent(from: Socket, text: string, to: SharedSocket): Promise<unknown> {
  return new Promise((resolve) => from.send(text, to.port, LOOPBACK, resolve));
}

test('datagrams go both ways between a call and its peer', async (t) => {
  const shared = openShared();
  const rtp = shared.join();
  const { peer, port } = await openPeer(t);
  rtp.connect(LOOPBACK, port);
  rtp.send(Buffer.from('to the peer'));
  const [received, source] = await once(peer, 'message');
  assert.equal(String(received), 'to the peer');
  assert.equal(source.port, rtp.localPort);
  const heard: string[] = [];
  rtp.listen((datagram) => heard.push(String(datagram)));
  await sent(peer, 'from the peer', shared);
  await receiveUntil(shared, () => heard.length > 0);
  assert.deepEqual(heard, ['from the peer']);
  assert.deepEqual(rtp.stats, { datagramsReceived: 1, datagramsSent: 1, errors: 0 });
  rtp.close();
});

test('a datagram says when it arrived, however late it is taken', async (t) => {
  const shared = openShared();
  const rtp = shared.join();
  const { peer, port } = await openPeer(t);
  rtp.connect(LOOPBACK, port);
  const arrivals: number[] = [];
  rtp.listen((_datagram, arrivedMs) => arrivals.push(arrivedMs));
  const clock: number[] = [];
  for (const text of ['one', 'two']) {
    clock.push(performance.now());
    await sent(peer, text, shared);
    clock.push(performance.now());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await receiveUntil(shared, () => arrivals.length === 2);
  // Two clocks are read one after the other: a trifle lies between.
  for (const [i, arrivedMs] of arrivals.entries()) {
    const [before = 0, after = 0] = clock.slice(2 * i);
    assert.ok(
      arrivedMs > before - 1 && arrivedMs < after + 1,
      `${arrivedMs}, sent from ${before} to ${after}`,
    );
  }
  rtp.close();
});

test('each call hears its own peer, in order, also where peers differ by their address only', async (t) => {
  let busy = 0;
  const onBusy = () => {
    busy++;
  };
  const shared = new SharedSocket(LOOPBACK, 0, { ...owner, onBusy });
  const { peer: first, port } = await openPeer(t);
  const { peer: second } = await openPeer(t, '127.0.0.2', port);
  const heard: string[] = [];
  const calls = [LOOPBACK, '127.0.0.2'].map((address, index) => {
    const rtp = shared.join();
    rtp.connect(address, port);
    rtp.listen((datagram) => heard.push(`${index} ${datagram}`));
    return rtp;
  });
  // More than one system call takes, and all of it before the first is read.
  for (let i = 0; i < 100; i++) {
    first.send(`a${i}`, shared.port, LOOPBACK);
    second.send(`b${i}`, shared.port, LOOPBACK);
  }
  await receiveUntil(shared, () => heard.length === 200);
  const expected = Array.from({ length: 100 }, (_, i) => i);
  assert.deepEqual(
    heard.filter((text) => text.startsWith('0')),
    expected.map((i) => `0 a${i}`),
  );
  assert.deepEqual(
    heard.filter((text) => text.startsWith('1')),
    expected.map((i) => `1 b${i}`),
  );
  assert.ok(busy > 10, `${busy} times told of long work`);
  for (const call of calls) call.close();
});

test('what strangers send is dropped and counted, before a peer is known and after, and so is what is too long', async (t) => {
  const shared = openShared();
  const rtp = shared.join();
  const { peer, port } = await openPeer(t);
  const { peer: stranger } = await openPeer(t);
  const heard: string[] = [];
  rtp.listen((datagram) => heard.push(String(datagram)));
  await sent(stranger, 'early', shared);
  await receiveUntil(shared, () => shared.refused > 0);
  rtp.connect(LOOPBACK, port);
  await sent(stranger, 'late', shared);
  await sent(peer, 'x'.repeat(2_049), shared);
  await sent(peer, 'mine', shared);
  await receiveUntil(shared, () => heard.length > 0);
  assert.deepEqual(heard, ['mine']);
  assert.equal(shared.refused, 3);
  rtp.close();
});

test('many packets of one turn arrive, and one that the kernel refuses holds up none behind it', async (t) => {
  const shared = openShared();
  const { peer, port } = await openPeer(t);
  const good = shared.join();
  good.connect(LOOPBACK, port);
  const bad = shared.join();
  // Broadcast, which nobody has asked the kernel for.
  bad.connect('255.255.255.255', port);
  const arrived: string[] = [];
  peer.on('message', (datagram) => arrived.push(String(datagram)));
  for (let i = 0; i < 150; i++) {
    good.send(Buffer.from(String(i)));
    if (i % 50 === 0) bad.send(Buffer.alloc(172));
  }
  good.send(Buffer.alloc(513));
  await receiveUntil(shared, () => arrived.length === 150);
  assert.deepEqual(
    arrived,
    Array.from({ length: 150 }, (_, i) => String(i)),
  );
  assert.deepEqual(bad.stats, { datagramsReceived: 0, datagramsSent: 3, errors: 3 });
  assert.equal(good.stats.errors, 1);
  good.close();
  bad.close();
});

test('a port in use is refused with the code of the kernel, and leaves nothing open', () => {
  const shared = openShared();
  const rtp = shared.join();
  assert.throws(() => new SharedSocket(LOOPBACK, shared.port, owner), { code: 'EADDRINUSE' });
  rtp.close();
});

test('the last call that leaves sends what it has, frees the port, and is silent from then on', async (t) => {
  let idle = 0;
  const onIdle = () => {
    idle++;
  };
  const shared = new SharedSocket(LOOPBACK, 0, { ...owner, onIdle });
  const { peer, port } = await openPeer(t);
  const first = shared.join();
  const last = shared.join();
  first.connect(LOOPBACK, port);
  last.connect(LOOPBACK, port);
  first.close();
  assert.equal(idle, 0);
  last.send(Buffer.from('bye'));
  last.close();
  last.close();
  assert.equal(idle, 1);
  last.send(Buffer.from('late'));
  last.connect(LOOPBACK, port);
  const [received] = await once(peer, 'message');
  assert.equal(String(received), 'bye');
  assert.equal(last.stats.datagramsSent, 1);
  const again = new SharedSocket(LOOPBACK, shared.port, owner);
  again.join().close();
});

test("a call that takes an ended call's peer over keeps it when the other leaves", async (t) => {
  const shared = openShared();
  const { peer, port } = await openPeer(t);
  const old = shared.join();
  const next = shared.join();
  old.connect(LOOPBACK, port);
  next.connect(LOOPBACK, port);
  old.close();
  const heard: string[] = [];
  next.listen((datagram) => heard.push(String(datagram)));
  await sent(peer, 'for the next', shared);
  await receiveUntil(shared, () => heard.length > 0);
  assert.deepEqual(heard, ['for the next']);
  next.close();
});
