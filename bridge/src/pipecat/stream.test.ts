import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { bareBot, connected, frame, messagesOf } from '../../test/bare-bot.ts';
import { type BotConnection, connectBot } from './bot-connection.ts';
import { Budget, NO_LIMITS } from './budget.ts';

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
    opened.pauseReading();
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
