import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StartFields } from '../pipecat/dialect.ts';
import { botUrl, expandBotUrl } from './bot-url.ts';

const CALL: StartFields = {
  callId: 'c/1',
  streamId: 's',
  tenant: 'Müller & Co',
  encoding: 'pcmu',
  sampleRate: 8000,
  direction: 'inbound',
  channelId: 'ch',
  sipCallId: 'sip',
  sipProvider: 'acme',
  from: '+4930',
  to: '100?x#y',
  variables: { AGENT_ID: '7' },
  appArgs: [],
  customVars: {},
  headers: {},
  framing: 'json',
};

test('placeholders are filled in with the call’s values, URL-encoded', () => {
  assert.equal(
    expandBotUrl('wss://bot.example:8443/{tenant}/{to}?c={call_id}&f={from}&a={agent_id}', CALL),
    'wss://bot.example:8443/M%C3%BCller%20%26%20Co/100%3Fx%23y?c=c%2F1&f=%2B4930&a=7',
  );
  assert.equal(expandBotUrl('ws://a/{provider}/{direction}', CALL), 'ws://a/acme/inbound');
});

test('what a call does not have is empty', () => {
  assert.equal(
    expandBotUrl('ws://a/{tenant}x{agent_id}', { ...CALL, tenant: undefined, variables: {} }),
    'ws://a/x',
  );
});

test('no number leads out of its folder', () => {
  for (const to of ['.', '..', '../..', '..%2f', '/../']) {
    const { pathname } = new URL(expandBotUrl('ws://a/bots/{to}/ws', { ...CALL, to }));
    assert.match(pathname, /^\/bots\/[^/]*\/ws$/, to);
  }
});

test('a template that names another host, or what nobody knows, is refused', () => {
  const wrong = [
    'http://a/',
    'a',
    'ws://a/#x',
    'ws://{tenant}.example/',
    'ws://a:{to}/',
    'ws://{to}@a/',
    '{tenant}://a/',
    'ws://a/{nobody}',
    'ws://a/{}',
    'ws://a/{toString}',
    'ws://a/{tenant',
    'ws://a/tenant}',
  ];
  for (const template of wrong) assert.equal(botUrl.safeParse(template).success, false, template);
  for (const template of ['ws://a', 'wss://a:1/x?y=1', 'ws://a/{tenant}?t={to}'])
    assert.equal(botUrl.safeParse(template).success, true, template);
});

test('no reading of a template lets a call say where its bot is', () => {
  for (const template of [
    'ws:///{to}/x',
    'wss:////{tenant}',
    'ws://\n/{to}',
    'ws://\t{to}',
    'ws:\\\\{to}',
    'ws:{to}//a',
    'ws:/{to}/a',
  ])
    assert.equal(botUrl.safeParse(template).success, false, template);
  for (const template of ['ws://a\\{to}', 'ws://a/\n{to}'])
    assert.equal(botUrl.safeParse(template).success, false, template);
});
