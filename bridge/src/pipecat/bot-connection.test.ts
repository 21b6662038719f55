import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test } from 'node:test';
import { bareBot, connected, frame, messagesOf } from '../../test/bare-bot.ts';
import { type BotConnection, connectBot } from './bot-connection.ts';
import { Draft } from './draft.ts';

type LookupDone = (error: null, found: LookupAddress[]) => void;

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
