import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type BotConnection, connectBot } from '../src/pipecat/bot-connection.ts';
import type { Budget } from '../src/pipecat/budget.ts';

type OnHeard = (count: number, connection: BotConnection) => void;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A WebSocket frame of a server: at most 125 bytes, not masked. */
export function frame(first: number, payload: string): Buffer {
  return Buffer.concat([Buffer.of(first, payload.length), Buffer.from(payload)]);
}

/** A bot made of bare TCP, so that a test says how its bytes are cut. */
export async function bareBot(isHalfOpen = false): Promise<{
  url: string;
  accept: (behind: Buffer) => Promise<Socket>;
  redirect: (location: string) => Promise<void>;
  close: () => void;
}> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accept = async (behind: Buffer) => {
    const [socket] = (await once(server, 'connection')) as [Socket];
    socket.setNoDelay();
    if (!isHalfOpen) socket.on('end', () => socket.end());
    const [request] = await once(socket, 'data');
    const key = /sec-websocket-key: (.+)\r/i.exec(String(request))?.[1];
    const proof = createHash('sha1').update(`${key}${GUID}`).digest('base64');
    const head = `HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${proof}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), behind]));
    return socket;
  };
  const redirect = async (location: string) => {
    const [socket] = (await once(server, 'connection')) as [Socket];
    await once(socket, 'data');
    socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`);
  };
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    redirect,
    accept,
    close: () => server.close(),
  };
}

/** What a server reads from whole frames of a client: first byte, length, bytes of each message. */
export function* messagesOf(stream: Buffer): Generator<{ first: number; payload: Buffer }> {
  for (let at = 0; at < stream.length; ) {
    const second = (stream[at + 1] as number) & 0x7f;
    const maskAt = at + (second === 126 ? 4 : second === 127 ? 10 : 2);
    const length =
      second === 126 ? stream.readUInt16BE(at + 2) : second === 127 ? stream.readUInt32BE(at + 6) : second;
    const begin = maskAt + 4;
    const payload = Buffer.from(stream.subarray(begin, begin + length));
    for (let i = 0; i < length; i++)
      payload[i] = (payload[i] as number) ^ (stream[maskAt + (i % 4)] as number);
    yield { first: stream[at] as number, payload };
    at = begin + length;
  }
}

/** A connection to a bare bot, which has said nothing yet. */
export async function connected(t: TestContext, budget?: Budget, onHeard?: OnHeard) {
  const bot = await bareBot(true);
  t.after(bot.close);
  let connection: BotConnection | undefined;
  let heard = 0;
  const closed = Promise.withResolvers<{ code: number; reason: string; atMs: number }>();
  const handlers = {
    onOpen: (opened: BotConnection) => {
      connection = opened;
    },
    onText: () => {
      heard += 1;
      onHeard?.(heard, connection as BotConnection);
    },
    onBinary: () => {},
    onOversize: () => {},
    onClosed: (code: number, reason: string) => closed.resolve({ code, reason, atMs: performance.now() }),
  };
  const limits = { maxMessageBytes: 100_000, sendBufferBytes: 1_000, pingMs: 60_000, hungMs: 0 };
  const target = { url: bot.url, query: {}, authorization: undefined, origin: undefined, ca: undefined };
  const open = connectBot(target, limits, handlers, AbortSignal.timeout(5_000), budget);
  const socket = await bot.accept(Buffer.alloc(0));
  // Cut off with something still unread.
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await open;
  const opened = connection as unknown as BotConnection;
  return { socket, connection: opened, closed: closed.promise, heard: () => heard };
}
