import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DecodedText, decodeText, mediaText } from '../../test/dialect-texts.ts';
import type { StartFields } from './dialect.ts';
import { callSid, TwilioDialect } from './twilio.ts';

const START: StartFields = {
  callId: 'c-1',
  streamId: 's-1',
  tenant: 't',
  encoding: 'pcmu',
  sampleRate: 8000,
  direction: 'inbound',
  channelId: 'ch-1',
  sipCallId: 'sip-1',
  sipProvider: 'acme',
  from: '+4930 1',
  to: '100',
  variables: { AGENT_ID: '7', call_id: 'not this one' },
  appArgs: ['c-1'],
  customVars: { plan: 'gold' },
  headers: { 'X-Shop': 'north' },
  framing: 'json',
};

function opened(reconnected = false) {
  const dialect = new TwilioDialect(START);
  const [connected = '', start = '', ...more] = dialect.start(START, reconnected);
  assert.equal(more.length, 0);
  return { dialect, connected: JSON.parse(connected), start: JSON.parse(start) };
}

test('a connection opens with connected and start, whose parameters are all strings', () => {
  const { connected, start } = opened();
  assert.deepEqual(connected, { event: 'connected', protocol: 'Call', version: '1.0.0' });
  assert.equal(start.event, 'start');
  assert.equal(start.sequenceNumber, '1');
  assert.equal(start.streamSid, start.start.streamSid);
  assert.match(start.start.streamSid, /^MZ[0-9a-f]{32}$/);
  assert.match(start.start.callSid, /^CA[0-9a-f]{32}$/);
  assert.match(start.start.accountSid, /^AC[0-9a-f]{32}$/);
  assert.equal(start.start.callSid, callSid('ch-1'), 'of its channel: call ids are chosen by others');
  assert.deepEqual(start.start.tracks, ['inbound']);
  assert.deepEqual(start.start.mediaFormat, { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 });
  assert.deepEqual(start.start.customParameters, {
    'X-Shop': 'north',
    AGENT_ID: '7',
    plan: 'gold',
    call_id: 'c-1',
    from_number: '+4930 1',
    to_number: '100',
    sip_provider: 'acme',
    direction: 'inbound',
    tenant: 't',
  });
});

test('ids are the same for the same call, and others for another', () => {
  const again = opened(true).start.start;
  assert.deepEqual(
    [again.callSid, again.customParameters.reconnected],
    [opened().start.start.callSid, 'true'],
  );
  assert.notEqual(callSid('c-1'), callSid('c-2'));
});

test('each connection of a call has a CallSid of its own, as its stop message says too', () => {
  const dialect = new TwilioDialect(START);
  const sids = ['a', 'b'].map((id) => {
    const start = JSON.parse(dialect.start(START, false, id)[1] ?? '').start;
    const { stop } = JSON.parse(
      dialect.encode({ type: 'hangup', reason: 'x', cause: 16, causeText: 'y' }) ?? '',
    );
    assert.equal(stop.callSid, start.callSid);
    return start.callSid;
  });
  assert.deepEqual(sids, [callSid('ch-1', 'a'), callSid('ch-1', 'b')]);
  assert.notEqual(sids[0], sids[1]);
});

test('messages are numbered from start on, and media by chunks of its own', () => {
  const { dialect, start } = opened();
  const { streamSid } = start;
  const { accountSid, callSid } = start.start;
  const texts = [
    mediaText(dialect, Buffer.from([9, 0, 255, 1, 9]), 1, 4, 20),
    dialect.encode({ type: 'dtmf', digit: '5', durationMs: 120 }),
    mediaText(dialect, Buffer.from([255]), 0, 1, 40),
    dialect.encode({ type: 'mark', name: 'a "b"', cleared: true }),
    dialect.encode({ type: 'hangup', reason: 'caller-hangup', cause: 16, causeText: 'Normal' }),
  ];
  assert.deepEqual(
    texts.map((text) => JSON.parse(text ?? '')),
    [
      {
        event: 'media',
        sequenceNumber: '2',
        media: { track: 'inbound', chunk: '1', timestamp: '20', payload: 'AP8B' },
        streamSid,
      },
      { event: 'dtmf', sequenceNumber: '3', dtmf: { track: 'inbound_track', digit: '5' }, streamSid },
      {
        event: 'media',
        sequenceNumber: '4',
        media: { track: 'inbound', chunk: '2', timestamp: '40', payload: '/w==' },
        streamSid,
      },
      { event: 'mark', sequenceNumber: '5', mark: { name: 'a "b"' }, streamSid },
      { event: 'stop', sequenceNumber: '6', stop: { accountSid, callSid }, streamSid },
    ],
  );
});

test('what Twilio has no message for is not said, and takes no number', () => {
  const { dialect } = opened();
  const unsaid = [
    dialect.encode({ type: 'answered' }),
    dialect.encode({ type: 'cleared', ms: 20 }),
    dialect.encode({ type: 'speech', state: 'start' }),
    dialect.encode({ type: 'error', code: 'not-json', message: 'x' }),
    dialect.encode({ type: 'transfer', status: 'failed', reason: 'x' }),
  ];
  assert.deepEqual(
    unsaid.filter((text) => text !== undefined),
    [],
  );
  assert.match(dialect.encode({ type: 'mark', name: 'm', cleared: false }) ?? '', /"sequenceNumber":"2"/);
});

test('Twilio’s own messages of a bot are understood, and the native ones that Twilio has not', () => {
  const { dialect } = opened();
  const messages: [string, DecodedText][] = [
    [
      '{"event":"media","streamSid":"MZ1","media":{"payload":"AAEC"}}',
      { type: 'media', payload: 'AAEC', encoding: 'pcmu', sampleRate: 8000 },
    ],
    ['{"event":"clear","streamSid":"MZ1"}', { type: 'clear' }],
    ['{"event":"mark","streamSid":"MZ1","mark":{"name":"m"}}', { type: 'mark', name: 'm' }],
    ['{"event":"hangup"}', { type: 'hangup', immediate: false }],
    ['{"event":"dtmf","digits":"12#"}', { type: 'dtmf', digits: '12#' }],
    ['{"event":"transfer","to":"human"}', { type: 'transfer', to: 'human' }],
    ['{"event":"rtvi"}', { type: 'unknown', event: 'rtvi' }],
    ['{"label":"rtvi-ai","type":"user-started-speaking"}', { type: 'unknown', event: '' }],
    ['{"event":"constructor"}', { type: 'unknown', event: 'constructor' }],
  ];
  for (const [text, expected] of messages) assert.deepEqual(decodeText(dialect, text), expected, text);
});

test('a bad message is refused, one without an event is passed over, and nothing throws', () => {
  const { dialect } = opened();
  for (const text of ['null', '[]', '{}', '7', '{"event":7}'])
    assert.equal(decodeText(dialect, text).type, 'unknown', text);
  const messages = [
    '',
    '{"event":"media"}',
    '{"event":"media","media":null}',
    '{"event":"media","media":7}',
    '{"event":"media","media":{}}',
    '{"event":"media","payload":"AAEC"}',
    '{"event":"mark","mark":"m"}',
    '{"event":"mark","name":"m"}',
    '{"event":"dtmf","dtmf":{"digit":"1"}}',
  ];
  for (const text of messages) assert.equal(decodeText(dialect, text).type, 'bad', text);
});
