import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChannel } from '../ari/model.ts';
import { parseProvider } from '../config/providers.ts';
import { type CallSource, describeCall, parsePairs, providerName } from './info.ts';

const INBOUND = parseChannel({
  id: '1795345555.0',
  name: 'PJSIP/pb_fintech-0000002a',
  state: 'Ring',
  protocol_id: 'sip-id',
  caller: { name: 'Caller', number: '919876543210' },
  connected: { name: '', number: '' },
  dialplan: {
    context: 'from-provider',
    exten: '+911234567',
    priority: 18,
    app_name: 'Stasis',
    app_data: 'pipecat',
  },
});
const OUTBOUND = parseChannel({
  ...INBOUND,
  state: 'Up',
  caller: { number: '4711' },
  connected: { number: '4711' },
  dialplan: { context: 'from-provider', exten: 's', app_name: 'Stasis', app_data: 'pipecat,X' },
});

function describe(source: Partial<CallSource>) {
  return describeCall({
    channel: INBOUND,
    appArgs: [],
    variables: {},
    wasDialled: false,
    dialled: undefined,
    provider: undefined,
    defaults: { encoding: 'pcmu', sampleRate: 8_000, transport: 'rtp', framing: 'json', dialect: 'native' },
    newId: () => 'made-up',
    ...source,
  });
}

test('a call id comes from the header, the variable, the first argument, or is made up, in this order', () => {
  const variables = { SIP_HEADERS: 'x-call-id=header', X_CALL_ID: 'variable' };
  assert.equal(describe({ variables, appArgs: ['argument'] }).callId, 'header');
  assert.equal(describe({ variables: { X_CALL_ID: 'variable' }, appArgs: ['argument'] }).callId, 'variable');
  assert.equal(describe({ appArgs: ['argument'] }).callId, 'argument');
  assert.equal(describe({}).callId, 'made-up');
});

test('an id that no log or URL could carry is passed over', () => {
  for (const id of ['', 'x'.repeat(129), 'line\nbreak', 'nul\0']) {
    assert.equal(describe({ variables: { X_CALL_ID: id }, appArgs: ['argument'] }).callId, 'argument', id);
  }
});

test('numbers of an inbound call come from the dialplan’s variables, else from the channel', () => {
  const told = describe({ variables: { INBOUND_FROM: '+49170', INBOUND_DID: '+4930' } });
  assert.deepEqual([told.from, told.to, told.direction], ['+49170', '+4930', 'inbound']);
  const bare = describe({});
  assert.deepEqual([bare.from, bare.to, bare.sipProvider], ['919876543210', '+911234567', 'pb_fintech']);
});

test('an originated call is outbound, to the number that was dialled', () => {
  const call = describe({ channel: OUTBOUND, wasDialled: true, dialled: '123' });
  assert.deepEqual([call.direction, call.from, call.to], ['outbound', '4711', '123']);
  assert.equal(describe({ channel: OUTBOUND }).direction, 'outbound');
});

test('a codec that cannot be had is remarked upon, and the default taken', () => {
  assert.equal(describe({ variables: { X_CODEC: 'pcm16' } }).encoding, 'pcm16');
  assert.equal(describe({ variables: { X_CODEC: 'PCMA' } }).encoding, 'pcma');
  assert.deepEqual(describe({ variables: { X_CODEC: 'pcm16', X_SR: '8000' } }).remarks, []);
  const odd = describe({
    variables: { X_CODEC: 'opus', X_SR: '16000' },
    defaults: { encoding: 'pcma', sampleRate: 8_000, transport: 'rtp', framing: 'json', dialect: 'native' },
  });
  assert.deepEqual([odd.encoding, odd.sampleRate, odd.remarks.length], ['pcma', 8000, 2]);
});

test('custom variables come from the variable, else from the header', () => {
  const headers = 'X-Custom-Vars=k%3D1%26v%3D2';
  assert.deepEqual(describe({ variables: { SIP_HEADERS: headers } }).customVars, { k: '1', v: '2' });
  const both = { SIP_HEADERS: headers, CUSTOM_VARS: 'a=b' };
  assert.deepEqual(describe({ variables: both }).customVars, { a: 'b' });
});

test('headers as the dialplan writes them arrive as they were', () => {
  const SIP_HEADERS =
    'X-Call-ID=abc-1&X-Agent-ID=a%2C%20b%26c%3Dd%20(x)%20%22q%22%20%2520%20%24%7BEXTEN%7D&X-Custom-Vars=k%3D1%26v%3D2';
  assert.deepEqual(describe({ variables: { SIP_HEADERS } }).headers, {
    'X-Call-ID': 'abc-1',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a caller may send
    'X-Agent-ID': 'a, b&c=d (x) "q" %20 ${EXTEN}',
    'X-Custom-Vars': 'k=1&v=2',
  });
});

test('the tenant is the call’s own, else its provider’s', () => {
  const provider = parseProvider('pb_fintech', 'TENANT=theirs');
  assert.equal(describe({ provider }).tenant, 'theirs');
  assert.equal(describe({ provider, variables: { X_TENANT: 'own' } }).tenant, 'own');
});

test('what is only for the bridge is not among the variables that the bot is shown', () => {
  const call = describe({ variables: { X_CALLBACK_URL: 'http://x/', SIP_HEADERS: 'X-A=1', AGENT_ID: 'a' } });
  assert.deepEqual(call.variables, { AGENT_ID: 'a' });
  assert.equal(call.callbackUrl, 'http://x/');
});

test('pairs are parsed as far as the limit, with a plus that stays one', () => {
  assert.deepEqual(parsePairs('a=%2B49+30&b&=x&c=1=2'), { a: '+49+30', b: '', c: '1=2' });
  assert.equal(Object.keys(parsePairs(Array.from({ length: 99 }, (_, i) => `k${i}=1`).join('&'))).length, 64);
  assert.deepEqual(parsePairs('%E0%A4%A=broken%'), { '\uFFFD%A': 'broken%' });
});

test('the provider is the endpoint in the channel’s name, dashes included', () => {
  const named = (name: string) => providerName({ ...INBOUND, name });
  assert.equal(named('PJSIP/my-provider-2-0000abcd'), 'my-provider-2');
  assert.equal(named('PJSIP/short-1'), undefined);
  assert.equal(named('Local/x@y-00000001;1'), undefined);
});

test('wideband goes over the WebSocket, whatever the transport otherwise is', () => {
  const wide = describe({ variables: { X_CODEC: 'pcm16', X_SR: '16000' } });
  assert.deepEqual([wide.encoding, wide.sampleRate, wide.transport], ['pcm16', 16_000, 'websocket']);
  const narrow = describe({ variables: { X_CODEC: 'pcm16' } });
  assert.deepEqual([narrow.encoding, narrow.sampleRate, narrow.transport], ['pcm16', 8_000, 'rtp']);
});

test('a rate that the encoding has not is taken as 8000, with a remark', () => {
  const call = describe({ variables: { X_CODEC: 'pcmu', X_SR: '16000' } });
  assert.equal(call.sampleRate, 8_000);
  assert.equal(call.remarks.length, 1);
});

test('a call may choose its transport', () => {
  assert.equal(describe({ variables: { X_TRANSPORT: 'websocket' } }).transport, 'websocket');
});

test('the dialect is the provider’s for the direction, else the default', () => {
  const provider = parseProvider('pb_fintech', 'PIPECAT_DIALECT=native\nPIPECAT_DIALECT_OUTBOUND=twilio\n');
  assert.equal(describe({ provider }).dialect, 'native');
  assert.equal(describe({ provider, channel: OUTBOUND }).dialect, 'twilio');
  assert.equal(describe({}).dialect, 'native');
});

test('a call in the Twilio dialect is pcmu at 8000 Hz in JSON, whatever else is asked for, with a remark', () => {
  const provider = parseProvider(
    'pb_fintech',
    'PIPECAT_DIALECT=twilio\nPIPECAT_ENCODING=pcm16\nPIPECAT_SAMPLE_RATE=16000\nPIPECAT_FRAMING=binary\n',
  );
  const call = describe({ provider });
  assert.deepEqual(
    [call.encoding, call.sampleRate, call.framing, call.transport, call.remarks.length],
    ['pcmu', 8_000, 'json', 'rtp', 1],
  );
  assert.deepEqual(describe({ provider: parseProvider('p', 'PIPECAT_DIALECT=twilio') }).remarks, []);
});

test('a call is recorded if it says so, else if its provider does', () => {
  const provider = parseProvider('acme', 'RECORDING=on');
  assert.equal(describe({}).recording, 'off');
  assert.equal(describe({ provider }).recording, 'on');
  assert.equal(describe({ provider, variables: { X_RECORD: 'off' } }).recording, 'off');
  assert.equal(describe({ variables: { X_RECORD: 'paused' } }).recording, 'paused');
  const wrong = describe({ provider, variables: { X_RECORD: 'yes' } });
  assert.equal(wrong.recording, 'on');
  assert.deepEqual(wrong.remarks, ['X_RECORD: not one of on, off, paused; the default is taken']);
});

test('a number that its caller withheld is told only where the provider file says so, and nowhere else', () => {
  const variables = { INBOUND_FROM: '+49151', INBOUND_PRESENTATION: 'prohib_not_screened id' };
  const hidden = describe({ variables });
  assert.deepEqual([hidden.from, hidden.callerIdPresentation], ['anonymous', 'restricted']);
  assert.ok(!JSON.stringify(hidden).includes('+49151'));
  const provider = parseProvider('picky', 'WITHHELD_NUMBERS=pass');
  const passed = describe({ variables, provider });
  assert.deepEqual([passed.from, passed.callerIdPresentation], ['+49151', 'restricted']);
});
