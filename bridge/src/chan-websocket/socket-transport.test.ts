import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { ChanWebsocketTransport } from './socket-transport.ts';

const FRAME_BYTES = 640;
const SILENCE = 0;

test('the lead is sent once, and again as far as missed ticks or a flush have used it up', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const came: string[] = [];
  server.on('connection', (socket) => {
    socket.send(JSON.stringify({ event: 'MEDIA_START', format: 'slin16', optimal_frame_size: FRAME_BYTES }));
    socket.on('message', (data: Buffer, isBinary) =>
      came.push(isBinary ? (data[0] === SILENCE ? 'lead' : 'frame') : 'flush'),
    );
  });
  const transport = await ChanWebsocketTransport.open(
    {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      authorization: 'Basic x',
      format: 'slin16',
      frameBytes: FRAME_BYTES,
      silence: SILENCE,
      onFrame: () => {},
      onClosed: () => {},
      now: () => 0,
    },
    AbortSignal.timeout(5_000),
  );
  t.after(() => server.close());
  const send = (): void => transport.send(transport.frame().fill(1));
  send();
  send();
  transport.skip(1);
  send();
  transport.skip(7);
  send();
  transport.flush();
  send();
  const [socket] = server.clients;
  const closed = once(socket as never, 'close');
  await transport.close();
  await closed;
  const expected = 'lead lead frame frame lead frame lead lead frame flush lead lead frame';
  assert.equal(came.join(' '), expected);
});
