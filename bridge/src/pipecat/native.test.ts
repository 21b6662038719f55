import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeText, mediaText } from '../../test/dialect-texts.ts';
import type { StartFields } from './dialect.ts';
import { NativeDialect, startQuery } from './native.ts';

const START: StartFields = {
  callId: 'c-1',
  streamId: 's-1',
  tenant: undefined,
  encoding: 'pcmu',
  sampleRate: 8000,
  direction: 'inbound',
  channelId: 'ch-1',
  sipCallId: 'sip-1',
  sipProvider: 'acme',
  from: '+4930 1',
  to: '100',
  variables: {},
  appArgs: [],
  customVars: {},
  headers: {},
  framing: 'json',
};

const dialect = new NativeDialect('pcmu', 8000);

test('every message to the bot has the fields that docs/BOTS.md names', () => {
  const messages: [string, object][] = [
    [dialect.encode({ type: 'answered' }), { event: 'answered' }],
    [
      dialect.encode({ type: 'dtmf', digit: '5', durationMs: 120 }),
      { event: 'dtmf', digit: '5', durationMs: 120 },
    ],
    [dialect.encode({ type: 'mark', name: 'a "b"', cleared: false }), { event: 'mark', name: 'a "b"' }],
    [dialect.encode({ type: 'mark', name: 'a', cleared: true }), { event: 'mark', name: 'a', cleared: true }],
    [
      dialect.encode({ type: 'error', code: 'bad-field', message: 'x' }),
      { event: 'error', code: 'bad-field', message: 'x' },
    ],
    [
      dialect.encode({ type: 'hangup', reason: 'bot-hangup', cause: 16, causeText: 'Normal' }),
      { event: 'hangup', reason: 'bot-hangup', cause: 16, causeText: 'Normal' },
    ],
    [
      dialect.encode({ type: 'transfer', status: 'failed', reason: 'no' }),
      { event: 'transfer', status: 'failed', reason: 'no' },
    ],
    [
      mediaText(dialect, Buffer.from([9, 0, 255, 1, 9]), 1, 4, 1240),
      { event: 'media', encoding: 'pcmu', sampleRate: 8000, payload: 'AP8B', timestamp: 1240 },
    ],
  ];
  for (const [text, expected] of messages) assert.deepEqual(JSON.parse(text), expected);
});

test('start carries all that is known, and reconnected only where it is so', () => {
  const expected = {
    event: 'start',
    callId: 'c-1',
    call_id: 'c-1',
    streamId: 's-1',
    encoding: 'pcmu',
    sampleRate: 8000,
    direction: 'inbound',
    channel_id: 'ch-1',
    sip_call_id: 'sip-1',
    sip_provider: 'acme',
    from: '+4930 1',
    to: '100',
    variables: {},
    app_args: [],
    custom_vars: {},
    headers: {},
  };
  assert.deepEqual(
    dialect.start(START, false).map((text) => JSON.parse(text)),
    [expected],
  );
  const again = { ...START, tenant: 't' };
  assert.deepEqual(
    dialect.start(again, true).map((text) => JSON.parse(text)),
    [{ ...expected, tenant: 't', reconnected: true }],
  );
});

test('messages of a bot are understood', () => {
  const messages: [string, object][] = [
    [
      '{"event":"media","payload":"AAEC"}',
      { type: 'media', payload: 'AAEC', encoding: 'pcmu', sampleRate: 8000 },
    ],
    [
      '{"event":"media","payload":"","encoding":"pcm16","sampleRate":16000}',
      { type: 'media', payload: '', encoding: 'pcm16', sampleRate: 16_000 },
    ],
    ['{"event":"clear","streamId":"x","more":1}', { type: 'clear' }],
    ['{"event":"mark","name":""}', { type: 'mark', name: '' }],
    ['{"event":"dtmf","digits":"12#*aD"}', { type: 'dtmf', digits: '12#*aD' }],
    ['{"event":"hangup"}', { type: 'hangup', immediate: false }],
    ['{"event":"hangup","immediate":true}', { type: 'hangup', immediate: true }],
    ['{"event":"transfer","to":"+49"}', { type: 'transfer', to: '+49' }],
    ['{"event":"recording","state":"pause"}', { type: 'recording', state: 'pause' }],
    ['{"event":"something-new","a":1}', { type: 'unknown', event: 'something-new' }],
  ];
  for (const [text, expected] of messages) assert.deepEqual(decodeText(dialect, text), expected, text);
});

test('what cannot be understood is told apart', () => {
  const messages: [string, string][] = [
    ['', 'not-json'],
    ['{', 'not-json'],
    ['hello', 'not-json'],
    ['{"event":"media"}', 'bad-field'],
    ['{"event":"media","payload":7}', 'bad-field'],
    ['{"event":"media","payload":"AAAA","encoding":"opus"}', 'wrong-encoding'],
    ['{"event":"media","payload":"AAAA","encoding":null}', 'wrong-encoding'],
    ['{"event":"media","payload":"AAAA","sampleRate":"8000"}', 'wrong-encoding'],
    ['{"event":"mark"}', 'bad-field'],
    [`{"event":"mark","name":"${'x'.repeat(257)}"}`, 'bad-field'],
    ['{"event":"dtmf"}', 'bad-field'],
    ['{"event":"dtmf","digits":""}', 'bad-field'],
    ['{"event":"dtmf","digits":"5x"}', 'bad-field'],
    [`{"event":"dtmf","digits":"${'5'.repeat(129)}"}`, 'bad-field'],
    ['{"event":"hangup","immediate":"yes"}', 'bad-field'],
    ['{"event":"transfer"}', 'bad-field'],
    ['{"event":"recording","state":"stop"}', 'bad-field'],
  ];
  for (const [text, code] of messages) {
    const message = decodeText(dialect, text);
    assert.equal(message.type === 'bad' && message.code, code, text);
  }
});

test('no text makes the decoder throw', () => {
  const good = '{"event":"media","payload":"AAEC","encoding":"pcmu","sampleRate":8000}';
  let seed = 42;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  for (let i = 0; i < 5_000; i++) {
    const at = random(good.length);
    const cut = good.slice(0, at) + String.fromCharCode(random(300)) + good.slice(at + random(4));
    decodeText(dialect, cut);
    decodeText(
      dialect,
      Array.from({ length: random(40) }, () => String.fromCharCode(random(0x1_0000))).join(''),
    );
    const bytes = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
    dialect.decode(bytes, 0, bytes.length);
  }
});

test('the query names what is known and leaves out what is not', () => {
  assert.deepEqual(startQuery({ ...START, sipProvider: '' }), {
    call_id: 'c-1',
    encoding: 'pcmu',
    sample_rate: '8000',
    direction: 'inbound',
    from_number: '+4930 1',
    to_number: '100',
  });
  const variables = { AGENT_ID: 'a', SIP_CONTEXT: 'ctx', TRANSFER_TYPE: 'blind', TRANSFER_SIP_DOMAIN: 'd' };
  const query = startQuery({ ...START, tenant: 't', variables, headers: { 'X-Agent-ID': 'not this' } });
  assert.deepEqual(
    [query.tenant, query.agent_id, query.sip_context, query.transfer_type, query.transfer_sip_domain],
    ['t', 'a', 'ctx', 'blind', 'd'],
  );
  assert.equal(startQuery({ ...START, headers: { 'x-AGENT-id': 'h' } }).agent_id, 'h');
});

test('of an encoding that cannot be taken both sides are named, and nothing of the bot’s is repeated at length', () => {
  const detail = (fields: object, rate = '') => {
    const said = JSON.stringify({ event: 'media', payload: 'AAAA', ...fields });
    const message = decodeText(dialect, rate === '' ? said : `${said.slice(0, -1)},"sampleRate":${rate}}`);
    return message.type === 'bad' && message.code === 'wrong-encoding' ? message.detail : '';
  };
  const taken =
    'this call is pcmu at 8000 Hz, and pcmu, pcma and pcm16 at 8000, 16000 and 24000 Hz are taken';
  assert.equal(detail({ encoding: 'opus' }), `the bot sends opus at 8000 Hz; ${taken}`);
  assert.equal(detail({ encoding: 'pcm16', sampleRate: 44100 }), `the bot sends pcm16 at 44100 Hz; ${taken}`);
  const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
  assert.equal(detail({}, deep), `the bot sends pcmu at an object Hz; ${taken}`);
  for (const value of [
    'x'.repeat(9_000),
    '\u0000\n\u001b[31m'.repeat(50),
    deep,
    {},
    -1,
    0.5,
    1e300,
    true,
    '24000',
  ]) {
    const text = detail({ sampleRate: value });
    assert.match(text, /^the bot sends pcmu at [ -~]{1,200} Hz; this call/);
  }
});
