import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { Pacer } from '../src/audio/pacer.ts';
import { Relay } from '../src/media/relay.ts';
import type { MediaSettings } from '../src/media/session.ts';
import { NO_LIMITS } from '../src/pipecat/budget.ts';
import { FakeBot } from './fake-bot.ts';
import { until } from './harness.ts';

/**
 * A call's media alone, over a WebSocket of Asterisk for which the test is the server; by the
 * test's own clock if there is one.
 */
export async function wideband(t: TestContext, now = () => performance.now()) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const bot = await FakeBot.start();
  // Closed whatever becomes of the test, or its process would not end.
  t.after(async () => {
    await bot.close();
    server.close();
  });
  let asterisk: WebSocket | undefined;
  server.on('connection', (socket) => {
    asterisk = socket;
    socket.send(JSON.stringify({ event: 'MEDIA_START', format: 'slin16', optimal_frame_size: 640 }));
  });
  const line = { encoding: 'pcm16', sampleRate: 16_000 } as const;
  const settings = {
    transport: 'websocket',
    address: '127.0.0.1',
    line,
    dialect: 'native',
    startOnAnswer: false,
    start: {
      ...line,
      framing: 'json',
      callId: 'c',
      streamId: 's',
      variables: {},
      appArgs: [],
      customVars: {},
      headers: {},
    },
    bot: {
      target: { url: bot.url, query: {} },
      limits: { maxMessageBytes: 65_536, sendBufferBytes: 65_536, pingMs: 60_000, hungMs: 0 },
      connectMs: 5000,
      connectTries: 1,
      reconnectMs: 0,
      reconnectsMax: 0,
    },
    prebufferMs: 0,
    queueMs: 10_000,
    trailingSilenceMs: 200,
    concealment: 'silence',
    bargeInHoldMs: 0,
    maxBadMessages: 5,
    recording: undefined,
    mediaTimeoutMs: 0,
    silenceLimitMs: 0,
    endSilenceMs: 0,
    refusalMs: 0,
    budget: NO_LIMITS,
  } as unknown as MediaSettings;
  const onError = (error: unknown) => {
    throw error;
  };
  const shared = {
    sockets: {} as never,
    disk: {} as never,
    pacer: new Pacer({ onError }),
    now,
  };
  const media = await Relay.open(settings, shared, () => {});
  t.after(() => media.close());
  await media.connectSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, 'Basic x');
  await media.connectBot(true);
  media.startRelay();
  return { media, session: await until(() => bot.sessions[0], 'bot'), asterisk: () => asterisk as WebSocket };
}
