import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { openRtpSocket } from './socket.ts';

const LOOPBACK = '127.0.0.1';

async function openPeer(): Promise<{ peer: Socket; port: number }> {
  const peer = createSocket('udp4');
  peer.bind(0, LOOPBACK);
  await once(peer, 'listening');
  return { peer, port: peer.address().port };
}

test('datagrams go both ways between a socket and its peer', async () => {
  const rtp = await openRtpSocket({ address: LOOPBACK, port: 0 });
  const { peer, port } = await openPeer();
  await rtp.connect(LOOPBACK, port);
  rtp.send(Buffer.from('to the peer'));
  const [received, source] = await once(peer, 'message');
  assert.equal(String(received), 'to the peer');
  assert.equal(source.port, rtp.localPort);
  const answer = new Promise<Buffer>((resolve) => {
    rtp.onDatagram = resolve;
  });
  peer.send('from the peer', rtp.localPort, LOOPBACK);
  assert.equal(String(await answer), 'from the peer');
  assert.deepEqual(rtp.stats, { datagramsReceived: 1, datagramsSent: 1, datagramsRefused: 0, errors: 0 });
  await rtp.close();
  peer.close();
});

test('what others send is dropped, before the peer is known and after', async () => {
  const rtp = await openRtpSocket({ address: LOOPBACK, port: 0 });
  const { peer, port } = await openPeer();
  const { peer: stranger } = await openPeer();
  const heard: string[] = [];
  const answer = new Promise<void>((resolve) => {
    rtp.onDatagram = (datagram) => {
      heard.push(String(datagram));
      resolve();
    };
  });
  // On loopback a datagram is in the receiver's buffer when its sending is reported.
  await new Promise((resolve) => stranger.send('early', rtp.localPort, LOOPBACK, resolve));
  await rtp.connect(LOOPBACK, port);
  await new Promise((resolve) => stranger.send('late', rtp.localPort, LOOPBACK, resolve));
  peer.send('mine', rtp.localPort, LOOPBACK);
  await answer;
  assert.deepEqual(heard, ['mine']);
  assert.equal(rtp.stats.datagramsRefused, 1);
  await rtp.close();
  peer.close();
  stranger.close();
});

test('a peer that has gone is counted, not thrown', async () => {
  const { peer, port } = await openPeer();
  const rtp = await openRtpSocket({ address: LOOPBACK, port: 0 });
  await rtp.connect(LOOPBACK, port);
  peer.close();
  await once(peer, 'close');
  for (let i = 0; i < 1000 && rtp.stats.errors === 0; i++) {
    rtp.send(Buffer.alloc(172));
    await new Promise(setImmediate);
  }
  assert.ok(rtp.stats.errors > 0);
  await rtp.close();
});

test('a port in use is refused with the code of the kernel', async () => {
  const rtp = await openRtpSocket({ address: LOOPBACK, port: 0 });
  await assert.rejects(openRtpSocket({ address: LOOPBACK, port: rtp.localPort }), { code: 'EADDRINUSE' });
  await rtp.close();
});

test('closing frees the port, may be repeated, and silences send', async () => {
  const rtp = await openRtpSocket({ address: LOOPBACK, port: 0 });
  const connecting = rtp.connect(LOOPBACK, 9);
  await Promise.all([rtp.close(), rtp.close()]);
  await connecting;
  rtp.send(Buffer.alloc(172));
  assert.equal(rtp.stats.datagramsSent, 0);
  const again = await openRtpSocket({ address: LOOPBACK, port: rtp.localPort });
  await again.close();
  await assert.rejects(again.connect(LOOPBACK, 9));
});
