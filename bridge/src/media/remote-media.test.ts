import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { BotAccess } from './bot-access.ts';
import { RemoteMedia } from './remote-media.ts';
import type { MediaEvent, MediaSettings } from './session.ts';
import type { MediaRequest } from './worker-messages.ts';

const botAccess = new BotAccess(50, pino({ level: 'silent' }));
const bot = { name: 'ws://bot.example/' };
const recording = { path: '/recordings/a.wav', paused: false, maxBytes: 1_000 };

for (const isPaused of [true, false]) {
  test(`opened anew, a recording is ${isPaused ? '' : 'not '}paused as it was last told, though its disk failed then`, async () => {
    const asked: MediaRequest[] = [];
    const thread = {
      forget: () => {},
      tell: () => {},
      ask: async (_session: number, request: MediaRequest) => asked.push(request),
    };
    const settings = { bot, recording: { ...recording, paused: !isPaused } } as MediaSettings;
    const media = new RemoteMedia(
      settings,
      () => {},
      async () => ({ thread, id: 1 }),
      botAccess,
    );
    await media.open();
    media.startRelay();
    const told: MediaEvent = {
      type: 'recording',
      state: 'failed',
      file: 'a.wav',
      isPaused,
      detail: 'ENOSPC',
    };
    media.happened(told, true);
    await media.reopen();
    const again = asked[1];
    assert.equal(again?.method === 'open' && again.settings.recording?.paused, isPaused);
  });
}

test('it has its place in another worker at once: that one may be known to be dead in the same turn', async () => {
  const pending = Promise.withResolvers<unknown>();
  const thread = { forget: () => {}, tell: () => {}, ask: () => pending.promise };
  let placed = 0;
  const told: string[] = [];
  const media = new RemoteMedia(
    { bot } as MediaSettings,
    ({ type }) => told.push(type),
    async () => ({ thread, id: ++placed }),
    botAccess,
  );
  pending.resolve(4_000);
  await media.open();
  void media.reopen();
  assert.equal(placed, 2);
  media.workerDied('died');
  assert.deepEqual(told, ['worker-died']);
});

test('Asterisk closes a media socket: the media there is closed, and can be opened anew as after a death', async () => {
  const asked: string[] = [];
  const forgotten: number[] = [];
  const thread = {
    forget: (id: number) => forgotten.push(id),
    tell: () => {},
    ask: async (id: number, { method }: MediaRequest) => asked.push(`${method} ${id}`),
  };
  let placed = 0;
  const told: MediaEvent[] = [];
  const media = new RemoteMedia(
    { bot } as MediaSettings,
    (event) => told.push(event),
    async () => ({ thread, id: ++placed }),
    botAccess,
  );
  await media.open();
  media.startRelay();
  media.happened({ type: 'lost', detail: 'closed' }, true);
  assert.deepEqual(told, [{ type: 'worker-died', detail: 'closed' }]);
  assert.equal(media.hasBot, false);
  await media.reopen();
  await media.close();
  assert.deepEqual(asked, ['open 1', 'close 1', 'open 2', 'close 2']);
  assert.deepEqual(forgotten, [1, 2]);
});

test('a media socket that closes for a call that ends then is no second fault', async () => {
  const asked: string[] = [];
  const thread = {
    forget: () => {},
    tell: () => {},
    ask: async (_id: number, { method }: MediaRequest) => asked.push(method),
  };
  const media = new RemoteMedia(
    { bot } as MediaSettings,
    () => {},
    async () => ({ thread, id: 1 }),
    botAccess,
  );
  await media.open();
  media.happened({ type: 'lost', detail: 'closed' }, true);
  await media.close();
  assert.deepEqual(asked, ['open', 'close']);
});

test('media that is being closed asks for no try of its bot, though its worker did so just before', async () => {
  const access = new BotAccess(50, pino({ level: 'silent' }));
  const other = { botName: 'ws://bot.example/', admitted: () => {} };
  for (let time = 1; time <= 3; time++) access.failed(other, 'refused', false);
  const thread = { forget: () => {}, tell: () => {}, ask: async () => {} };
  const media = new RemoteMedia(
    { bot } as MediaSettings,
    () => {},
    async () => ({ thread, id: 1 }),
    access,
  );
  await media.open();
  const closed = media.close();
  media.happened({ type: 'bot-ask' }, false);
  assert.equal(access.waiting, 0);
  await closed;
  access.close();
});
