import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type BotConnection, connectBot } from './bot-connection.ts';
import { Budget, NO_LIMITS } from './budget.ts';
import { Draft } from './draft.ts';

type OnHeard = (count: number, connection: BotConnection) => void;
type LookupDone = (error: null, found: LookupAddress[]) => void;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function frame(first: number, payload: string): Buffer {
  return Buffer.concat([Buffer.of(first, payload.length), Buffer.from(payload)]);
}

/** A bot made of bare TCP, so that a test says how its bytes are cut. */
async function bareBot(isHalfOpen = false): Promise<{
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

// Within each part of a header, of the payload, and between two messages.
for (const cut of [0, 1, 2, 4, 5, 6, 8, 12, 13, 18])
  test(`messages keep their order however the stream is cut, ${cut} bytes of it behind the handshake`, (t) =>
    keepsOrder(t, cut));

async function keepsOrder(t: TestContext, cut: number): Promise<void> {
  const bot = await bareBot();
  t.after(bot.close);
  const texts: string[] = [];
  const { promise: closed, resolve: ended } = Promise.withResolvers<void>();
  let connection: BotConnection | undefined;
  const handlers = {
    onOpen: (opened: BotConnection) => {
      connection = opened;
    },
    onText: (bytes: Buffer, start: number, end: number) => texts.push(bytes.toString('utf8', start, end)),
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
  const limits = { maxMessageBytes: 100, sendBufferBytes: 1_000, pingMs: 60_000, hungMs: 0 };
  const target = { url: bot.url, query: {}, authorization: undefined, origin: undefined, ca: undefined };
  const open = connectBot(target, limits, handlers, AbortSignal.timeout(5_000));
  const socket = await bot.accept(stream.subarray(0, cut));
  const came: Buffer[] = [];
  socket.on('data', (data) => came.push(data));
  await open;
  for (let at = cut; at < stream.length; at += 11) {
    await new Promise((resolve) => socket.write(stream.subarray(at, at + 11), resolve));
    await new Promise(setImmediate);
  }
  await closed;
  assert.deepEqual(texts, ['one', 'two', 'three', 'binary four', 'five', 'oversize', 'six']);
  const answers = [...messagesOf(Buffer.concat(came))].map(({ first, payload }) => [first, String(payload)]);
  assert.deepEqual(answers, [
    [0x8a, 'ping'],
    [0x88, '\x03\ufffd'],
  ]);
  await connection?.close(1000);
}

/** What a server reads from whole frames of a client: first byte, length, bytes of each message. */
function* messagesOf(stream: Buffer): Generator<{ first: number; payload: Buffer }> {
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

test('media made in one draft arrives whole and in order, save the oldest of what a bot does not read', {
  timeout: 20_000,
}, async (t) => {
  const bot = await bareBot();
  t.after(bot.close);
  let connection = undefined as BotConnection | undefined;
  const handlers = {
    onOpen: (opened: BotConnection) => {
      connection = opened;
    },
    onText: () => {},
    onBinary: () => {},
    onOversize: () => {},
    onClosed: () => {},
  };
  const limits = { maxMessageBytes: 100, sendBufferBytes: 100_000, pingMs: 60_000, hungMs: 0 };
  const target = { url: bot.url, query: {}, authorization: undefined, origin: undefined, ca: undefined };
  const open = connectBot(target, limits, handlers, AbortSignal.timeout(5_000));
  const socket = await bot.accept(Buffer.alloc(0));
  await open;
  socket.pause();
  // Frames with lengths of 7, 16 and 64 bits, smaller and larger than the frame buffer.
  const lengthOf = (number: number) => [100, 1_000, 4_096, 4_097, 70_001][number % 5] as number;
  const draft = new Draft();
  let sent = 0;
  const send = () => {
    const length = lengthOf(sent);
    draft.begin(sent % 3 !== 0, length);
    draft.copy(Buffer.alloc(length, 32 + (sent % 90)), 0, length);
    connection?.sendMedia(draft);
    sent += 1;
  };
  while (connection?.droppedMessages === 0) {
    for (let i = 0; i < 20; i++) send();
    await new Promise(setImmediate);
  }
  const dropped = connection?.droppedMessages ?? 0;
  // Fifty are held; those dropped were before them.
  const all = Array.from({ length: sent + 1 }, (_, number) => number);
  const written = all.slice(0, sent - 50 - dropped);
  const expected = [...written, ...all.slice(sent - 50)];
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const arrivalOf = async (numbers: number[]) => {
    const bytes = numbers.map(lengthOf).reduce((sum, n) => sum + n + (n < 126 ? 6 : n < 65_536 ? 8 : 14), 0);
    while (chunks.reduce((sum, { length }) => sum + length, 0) < bytes) await new Promise(setImmediate);
    await new Promise(setImmediate);
  };
  socket.resume();
  await arrivalOf(written);
  send();
  await arrivalOf(expected);
  const arrived = [...messagesOf(Buffer.concat(chunks))];
  assert.equal(arrived.length, expected.length);
  for (const [i, number] of expected.entries()) {
    const { first, payload } = arrived[i] as { first: number; payload: Buffer };
    assert.equal(first, number % 3 === 0 ? 0x82 : 0x81);
    assert.equal(payload.length, lengthOf(number));
    assert.ok(payload.every((byte) => byte === 32 + (number % 90)));
  }
  assert.equal(connection?.droppedMessages, dropped);
  const closed = connection?.close(1000);
  socket.destroy();
  await closed;
});

/** A connection to a bare bot, which has said nothing yet. */
async function connected(t: TestContext, budget?: Budget, onHeard?: OnHeard) {
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

for (const [code, bytes] of [
  [1000, Buffer.of(3, 232)],
  [1005, Buffer.alloc(0)],
  [4000, Buffer.of(15, 160)],
] as const) {
  test(`a bot that closes with ${code} and keeps its TCP connection is gone all the same`, async (t) => {
    const { socket, closed } = await connected(t);
    socket.resume();
    const startMs = performance.now();
    socket.write(Buffer.concat([Buffer.of(0x88, bytes.length), bytes]));
    const { code: seen, atMs } = await closed;
    assert.equal(seen, code);
    assert.ok(atMs - startMs < 3_000, `after ${atMs - startMs} ms`);
  });
}

test('a bot that sends as it speaks is never stopped, however much it has sent in all', async (t) => {
  const { socket, connection, heard } = await connected(t);
  const pause = t.mock.method(Socket.prototype, 'pause');
  const sent = 40;
  const message = Buffer.concat([Buffer.of(0x81, 126, 4_000 >> 8, 4_000 & 0xff), Buffer.alloc(4_000, 'a')]);
  for (let i = 0; i < sent; i++) {
    socket.write(message);
    await new Promise((resolve) => setTimeout(resolve, 12));
  }
  while (heard() < sent) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(pause.mock.callCount(), 0);
  await connection.close(1000);
});

test('a bot that pings and never reads the answers is closed, and told why', {
  timeout: 20_000,
}, async (t) => {
  const { socket, connection, closed } = await connected(t);
  socket.pause();
  // The way to the bot is full: what the system keeps takes thousands of pongs.
  const draft = new Draft();
  while (connection.droppedMessages === 0) {
    draft.begin(false, 60_000);
    draft.copy(Buffer.alloc(60_000), 0, 60_000);
    connection.sendMedia(draft);
    await new Promise(setImmediate);
  }
  const ping = frame(0x89, 'p'.repeat(125));
  const pings = Buffer.concat(Array.from({ length: 500 }, () => ping));
  const flood = setInterval(() => socket.writableLength < 1e6 && socket.write(pings), 2);
  t.after(() => clearInterval(flood));
  const { code, reason } = await closed;
  assert.equal(code, 1008, reason);
  assert.match(reason, /does not read/);
});

test('the name of the bot and the names that it sends us on to are looked up each in their own way', async (t) => {
  const bot = await bareBot();
  t.after(bot.close);
  const { port } = new URL(bot.url);
  const asked: string[] = [];
  const here = (whose: string) => (name: string, _options: object, done: LookupDone) => {
    asked.push(`${whose} ${name}`);
    done(null, [{ address: '127.0.0.1', family: 4 }]);
  };
  const names = { own: here('own'), others: here('others') };
  const url = `ws://own.example:${port}/`;
  const target = { url, query: {}, authorization: undefined, origin: undefined, ca: undefined };
  const limits = { maxMessageBytes: 100, sendBufferBytes: 1_000, pingMs: 60_000, hungMs: 0 };
  const handlers = {
    onOpen: (connection: BotConnection) => void connection.close(1000),
    onText: () => {},
    onBinary: () => {},
    onOversize: () => {},
    onClosed: () => {},
  };
  const open = connectBot(target, limits, handlers, AbortSignal.timeout(5_000), undefined, names);
  await bot.redirect(`ws://own.example:${port}/again`);
  await bot.redirect(`ws://elsewhere.example:${port}/`);
  const socket = await bot.accept(Buffer.alloc(0));
  await open;
  socket.destroy();
  assert.deepEqual(asked, ['own own.example', 'own own.example', 'others elsewhere.example']);
});

/** Counts what was read. */
class Counter extends Budget {
  count = { frames: 0, bytes: 0 };

  override came(frames: number, bytes: number): void {
    this.count.frames += frames;
    this.count.bytes += bytes;
  }
}

const messages = (count: number) => Buffer.concat(Array<Buffer>(count).fill(frame(0x81, 'x')));

test('what a bot sent long ago is no part of its burst, though it is charged with it', async (t) => {
  const budget = new Budget({ ...NO_LIMITS, messagesPerSecond: 50 });
  const { socket, connection, heard } = await connected(t, budget);
  socket.write(messages(15));
  await new Promise((resolve) => setTimeout(resolve, 400));
  socket.write(messages(50));
  while (heard() < 65) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(budget.stats.pauses, 0);
  socket.destroy();
  await connection.close(1000);
});

test('a bot over its budget is held back, whenever it sends what must be taken alone', async (t) => {
  const budget = new Budget({ ...NO_LIMITS, messagesPerSecond: 10 });
  const { socket, connection, heard } = await connected(t, budget, (count, opened) => {
    if (count % 16 !== 0) return;
    opened.hold();
    setImmediate(() => opened.release());
  });
  socket.write(messages(160));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(heard() < 60, `${heard()} messages`);
  socket.destroy();
  await connection.close(1000);
});

const CHUNK_BYTES = 262_144;
for (const [what, first, repeated] of [
  ['tiny messages', '', frame(0x81, '1')],
  ['pings', '', frame(0x89, '')],
  ['tiny fragments', frame(0x01, '1'), frame(0x00, '1')],
  ['one message without end', Buffer.of(0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0), Buffer.alloc(1_000)],
] as const) {
  test(`once we have closed, a flood of ${what} is read in small parts: the other calls have the thread`, async (t) => {
    const budget = new Counter(NO_LIMITS);
    const { socket, connection, closed } = await connected(t, budget);
    socket.resume();
    socket.write(first);
    const chunk = Buffer.concat(Array(Math.floor(CHUNK_BYTES / repeated.length)).fill(repeated));
    const flood = setInterval(() => {
      for (let i = 0; i < 16 && socket.writableLength < 4 * CHUNK_BYTES; i++) socket.write(chunk);
    }, 2);
    void connection.close(1008);
    await closed;
    clearInterval(flood);
    // A second, in which 100 frames or 64 kB are taken every 5 ms.
    const { frames, bytes } = budget.count;
    assert.ok(frames < 30_000, `${frames} frames`);
    assert.ok(bytes < 20_000_000, `${bytes} bytes`);
  });
}

test('once we have closed, the close frame of a bot is found behind what it had sent before', async (t) => {
  const { socket, connection, closed } = await connected(t);
  socket.resume();
  const message = frame(0x81, 'x'.repeat(100));
  socket.end(Buffer.concat([...Array<Buffer>(5_000).fill(message), frame(0x88, '\x03\xe8')]));
  const startMs = performance.now();
  void connection.close(1000);
  const { atMs } = await closed;
  assert.ok(atMs - startMs < 900, `after ${atMs - startMs} ms`);
});

for (const [what, repeated] of [
  ['pings', frame(0x89, '')],
  ['fragments', frame(0x00, '1')],
] as const) {
  test(`a flood of ${what}, which \`ws\` reads, is not read while the bot is held back`, async (t) => {
    class Slow extends Budget {
      readBytes = 0;

      override came(messages: number, bytes: number): void {
        super.came(messages, bytes);
        this.readBytes += bytes;
      }
    }
    const budget = new Slow({ ...NO_LIMITS, messagesPerSecond: 200, burstS: 1 });
    const { socket, connection } = await connected(t, budget);
    socket.resume();
    socket.write(frame(0x01, '1'));
    const chunk = Buffer.concat(Array(CHUNK_BYTES / 4).fill(repeated));
    const flood = setInterval(() => socket.writableLength < CHUNK_BYTES && socket.write(chunk), 2);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    clearInterval(flood);
    // 500 of them are 1,500 bytes; what is read at once are 64 kB.
    assert.ok(budget.readBytes < 400_000, `${budget.readBytes} bytes`);
    socket.destroy();
    await connection.close(1000);
  });
}
