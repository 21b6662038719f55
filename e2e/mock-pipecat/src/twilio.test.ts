import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { mockPort, mockUrl } from '../test/mock.ts';
import { encode } from './format.ts';
import { tone } from './tones.ts';

type Json = Record<string, unknown>;

const streamSid = `MZ${'1'.repeat(32)}`;
const ids = { callSid: `CA${'2'.repeat(32)}`, accountSid: `AC${'3'.repeat(32)}` };
const CONNECTED = { event: 'connected', protocol: 'Call', version: '1.0.0' };
const payload = encode(tone(440, 20, 8000), 'pcmu').toString('base64');
let calls = 0;

function startMessage(callId: string, changes: Json = {}): Json {
  const start = {
    streamSid,
    ...ids,
    tracks: ['inbound'],
    mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
    customParameters: { call_id: callId, direction: 'inbound', from_number: '+49', to_number: '101' },
    ...changes,
  };
  return { event: 'start', sequenceNumber: '1', start, streamSid };
}

function media(number: number, chunk: number): Json {
  const fields = { track: 'inbound', chunk: String(chunk), timestamp: String(chunk * 20), payload };
  return { event: 'media', sequenceNumber: String(number), media: fields, streamSid };
}

async function open(): Promise<{ socket: WebSocket; callId: string; got: Json[] }> {
  const callId = `twilio-${++calls}`;
  const query = new URLSearchParams({
    call_id: callId,
    encoding: 'pcmu',
    sample_rate: '8000',
    direction: 'inbound',
    from_number: '+49',
    to_number: '101',
  });
  const socket = new WebSocket(`ws://127.0.0.1:${mockPort()}/ws/twilio?${query}`, {
    perMessageDeflate: false,
  });
  const got: Json[] = [];
  socket.on('message', (data) => got.push(JSON.parse(data.toString())));
  await once(socket, 'open');
  return { socket, callId, got };
}

async function view(callId: string): Promise<{ violations: { what: string }[]; start?: Json }> {
  const response = await fetch(mockUrl(`/calls/${callId}`));
  return (await response.json()) as { violations: { what: string }[]; start?: Json };
}

const say = (socket: WebSocket, message: Json) => socket.send(JSON.stringify(message));

test('a Twilio call is served by the same modes: the echo comes back as Twilio takes it', async () => {
  const { socket, callId, got } = await open();
  say(socket, CONNECTED);
  say(socket, startMessage(callId));
  say(socket, media(2, 1));
  while (got.length === 0) await once(socket, 'message');
  assert.deepEqual(got, [{ event: 'media', streamSid, media: { payload } }]);
  say(socket, { event: 'stop', sequenceNumber: '3', stop: ids, streamSid });
  socket.close(1000);
  await once(socket, 'close');
  const { violations, start } = await view(callId);
  assert.deepEqual(violations, []);
  assert.equal(start?.call_id, callId);
});

const MISTAKES: Record<string, (callId: string) => (Json | string | Buffer)[]> = {
  'start without connected': (callId) => [startMessage(callId)],
  'no JSON at first': () => ['hello'],
  'start without callSid': (callId) => [CONNECTED, startMessage(callId, { callSid: undefined })],
  'start without streamSid': (callId) => [CONNECTED, startMessage(callId, { streamSid: undefined })],
  'a parameter that is no string': (callId) => [
    CONNECTED,
    startMessage(callId, { customParameters: { call_id: callId, sample_rate: 8000 } }),
  ],
  'another media format': (callId) => [
    CONNECTED,
    startMessage(callId, { mediaFormat: { encoding: 'audio/x-alaw', sampleRate: 8000, channels: 1 } }),
  ],
  'no JSON': (callId) => [CONNECTED, startMessage(callId), 'hello'],
  'a binary frame': (callId) => [CONNECTED, startMessage(callId), Buffer.from([1, 2])],
  'media without payload': (callId) => [
    CONNECTED,
    startMessage(callId),
    { ...media(2, 1), media: { track: 'inbound', chunk: '1', timestamp: '20' } },
  ],
  'a message of the native dialect': (callId) => [CONNECTED, startMessage(callId), { event: 'answered' }],
  'a gap in the numbers': (callId) => [CONNECTED, startMessage(callId), media(3, 1)],
  'a gap in the chunks': (callId) => [CONNECTED, startMessage(callId), media(2, 2)],
};

for (const [what, messages] of Object.entries(MISTAKES)) {
  test(`the Twilio bot ends the call with 1006 on: ${what}`, async () => {
    const { socket, callId } = await open();
    for (const message of messages(callId))
      socket.send(
        Buffer.isBuffer(message) || typeof message === 'string' ? message : JSON.stringify(message),
      );
    const [code] = await once(socket, 'close');
    assert.equal(code, 1006);
    assert.equal((await view(callId)).violations.length, 1);
  });
}
