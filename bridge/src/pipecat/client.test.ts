import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { type BotConnection, connectBot } from './client.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function frame(first: number, payload: string): Buffer {
  return Buffer.concat([Buffer.of(first, payload.length), Buffer.from(payload)]);
}

/** A bot made of bare TCP, so that a test says how its bytes are cut. */
async function bareBot(): Promise<{
  url: string;
  accept: (behind: Buffer) => Promise<Socket>;
  close: () => void;
}> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accept = async (behind: Buffer) => {
    const [socket] = (await once(server, 'connection')) as [Socket];
    socket.setNoDelay();
    const [request] = await once(socket, 'data');
    const key = /sec-websocket-key: (.+)\r/i.exec(String(request))?.[1];
    const proof = createHash('sha1').update(`${key}${GUID}`).digest('base64');
    const head = `HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${proof}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), behind]));
    return socket;
  };
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    accept,
    close: () => server.close(),
  };
}

test('messages keep their order however the stream is cut, from the first byte behind the handshake on', async (t) => {
  const bot = await bareBot();
  t.after(bot.close);
  const texts: string[] = [];
  let ended: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let connection: BotConnection | undefined;
  const handlers = {
    onOpen: (opened: BotConnection) => {
      connection = opened;
    },
    onText: (text: string) => texts.push(text),
    onBinary: (data: Buffer) => texts.push(`binary ${data}`),
    onOversize: () => texts.push('oversize'),
    onClosed: () => ended(),
  };
  const stream = Buffer.concat([
    frame(0x81, 'one'),
    frame(0x81, 'two'),
    frame(0x89, 'ping'),
    frame(0x01, 'thr'),
    frame(0x80, 'ee'),
    frame(0x82, 'four'),
    frame(0x81, 'five'),
    frame(0x81, 'x'.repeat(101)),
    frame(0x81, 'six'),
    frame(0x88, '\x03\xe8'),
  ]);
  const limits = { maxMessageBytes: 100, sendBufferBytes: 1_000, pingMs: 60_000 };
  const target = { url: bot.url, query: {}, authorization: undefined, origin: undefined, ca: undefined };
  const open = connectBot(target, limits, handlers, AbortSignal.timeout(5_000));
  const socket = await bot.accept(stream.subarray(0, 8));
  await open;
  for (let at = 8; at < stream.length; at += 11) {
    await new Promise((resolve) => socket.write(stream.subarray(at, at + 11), resolve));
    await new Promise(setImmediate);
  }
  await closed;
  assert.deepEqual(texts, ['one', 'two', 'three', 'binary four', 'five', 'oversize', 'six']);
  await connection?.close(1000);
});
