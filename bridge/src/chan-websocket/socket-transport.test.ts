import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type WebSocket, WebSocketServer } from 'ws';
import { ChanWebsocketTransport } from './socket-transport.ts';

const FRAME_BYTES = 640;
const SILENCE = 0;

/** A media socket, and what came over it at Asterisk's end. */
async function opened(t: TestContext, now = () => 0) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  t.after(() => server.close());
  const came: string[] = [];
  let asterisk: WebSocket | undefined;
  server.on('connection', (socket) => {
    asterisk = socket;
    socket.send(JSON.stringify({ event: 'MEDIA_START', format: 'slin16', optimal_frame_size: FRAME_BYTES }));
    socket.on('message', (data: Buffer, isBinary) => {
      const command = () => JSON.parse(String(data)).command as string;
      came.push(isBinary ? (data[0] === SILENCE ? 'lead' : 'frame') : command());
    });
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
      now,
    },
    AbortSignal.timeout(5_000),
  );
  return {
    transport,
    came,
    asterisk: asterisk as WebSocket,
    send: () => transport.send(transport.frame().fill(1)),
  };
}

test('the lead is sent once, and again as far as missed ticks or a flush have used it up', async (t) => {
  const { transport, came, asterisk, send } = await opened(t);
  send();
  send();
  transport.skip(1);
  send();
  transport.skip(7);
  send();
  transport.flush();
  send();
  const closed = once(asterisk, 'close');
  await transport.close();
  await closed;
  const expected = 'lead lead frame frame lead frame lead lead frame FLUSH_MEDIA lead lead frame';
  assert.equal(came.join(' '), expected);
});

test('Asterisk stood still: it is asked what it has queued, and old audio is dropped', async (t) => {
  let nowMs = 0;
  const { transport, came, asterisk, send } = await opened(t, () => nowMs);
  const speak = async (atMs: number) => {
    nowMs = atMs;
    const { packetsReceived } = transport.figures();
    asterisk.send(Buffer.alloc(FRAME_BYTES));
    while (transport.figures().packetsReceived === packetsReceived) await turn();
  };
  const status = async (queue_length: number) => {
    asterisk.send(JSON.stringify({ event: 'STATUS', channel_id: 'x', queue_length, queue_full: false }));
    await speak(nowMs + 20);
  };
  await speak(20);
  await speak(40);
  await speak(2_040);
  await status(3);
  send();
  await speak(4_060);
  await status(200);
  send();
  const closed = once(asterisk, 'close');
  await transport.close();
  await closed;
  const expected = 'GET_STATUS lead lead frame GET_STATUS FLUSH_MEDIA lead lead frame';
  assert.equal(came.join(' '), expected);
});
