import assert from 'node:assert/strict';
import fc from 'fast-check';
import { botUrl, expandBotUrl } from '../src/config/bot-url.ts';
import { startQuery } from '../src/pipecat/native.ts';
import type { FuzzTarget } from './target.ts';

/** Any text that a caller or a back end may put into a call, lone surrogates included. */
const outside = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'./?#&=%@:\\{}\u0000\r\n +', '\uD800', '\uDFFF') }),
  fc.constantFrom('', '.', '..', '../..', '%2e%2e', '//evil.example', '?x=1', '#x', '{to}'),
);
const template = fc.constantFrom(
  'ws://bot.example/ws/asterisk',
  'wss://bot.example:8443/{tenant}/{to}?from={from}&id={call_id}',
  'wss://bot.example/{direction}/{provider}/x{agent_id}y',
);
const call = fc.record({
  callId: outside,
  tenant: fc.option(outside, { nil: undefined }),
  direction: fc.constantFrom('inbound', 'outbound'),
  sipProvider: outside,
  from: outside,
  to: outside,
  encoding: fc.constant('pcmu'),
  sampleRate: fc.constant(8000),
  headers: fc.constant({}),
  variables: fc.dictionary(fc.constantFrom('AGENT_ID', 'SIP_CONTEXT', 'TRANSFER_TYPE', 'X'), outside),
});

/** Almost a template: with an invalid host, another scheme, or a placeholder in the wrong place. */
const likely = fc
  .tuple(
    fc.constantFrom('ws://', 'wss://', 'ftp://', 'file://', 'wss:', 'WS://'),
    fc.constantFrom(
      'bot.example',
      'bot.example:8443',
      'bot:99999',
      '[::1]',
      '[x',
      'a b',
      '',
      '{tenant}',
      '/{tenant}',
      '\n/{to}',
      '\t\\{to}',
      '/bot.example',
      '{to}.example',
    ),
    fc.array(fc.constantFrom('/', 'x', '{to}', '{from}', '{unknown}', '{', '}', '?', '=', '@', '..', '#'), {
      maxLength: 6,
    }),
  )
  .map(([scheme, host, rest]) => `${scheme}${host}/${rest.join('')}`);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'bot URLs: what a call says changes neither the host nor the shape of the path and query',
    property: fc.property(template, call, (written, info) => {
      const url = new URL(expandBotUrl(written, info as never));
      const plain = new URL(written.replaceAll(/\{[^}]*\}/g, 'x'));
      assert.equal(url.origin, plain.origin);
      assert.equal(url.hash, '');
      assert.equal(url.pathname.split('/').length, plain.pathname.split('/').length);
      assert.deepEqual([...url.searchParams.keys()], [...plain.searchParams.keys()]);
    }),
  },
  {
    name: 'bot URLs: the query can be said of any call, and read back',
    property: fc.property(call, (info) => {
      const query = new URLSearchParams(startQuery(info as never));
      const { callId, tenant = '', direction, sipProvider, from, to, variables } = info;
      const said: Record<string, string> = {
        call_id: callId,
        tenant,
        direction,
        sip_provider: sipProvider,
        from_number: from,
        to_number: to,
        encoding: 'pcmu',
        sample_rate: '8000',
        sip_context: variables.SIP_CONTEXT ?? '',
        agent_id: variables.AGENT_ID ?? '',
        transfer_type: variables.TRANSFER_TYPE ?? '',
      };
      for (const [name, value] of Object.entries(said))
        assert.equal(query.get(name) ?? '', value.toWellFormed(), name);
      assert.ok([...query.keys()].every((name) => said[name] !== undefined));
      assert.ok(!/[\r\n ]/.test(query.toString()));
    }),
  },
  {
    name: 'bot URLs: any template is refused or can be filled in',
    property: fc.property(
      fc.oneof(fc.string(), fc.webUrl(), outside, likely).map((text) => text.replace(/^https?:/, 'wss:')),
      call,
      (text, info) => {
        if (!botUrl.safeParse(text).success) return;
        const { protocol, host } = new URL(expandBotUrl(text, info as never));
        assert.match(protocol, /^wss?:$/);
        assert.equal(host, new URL(text.replaceAll(/\{[^{}]*\}/g, '')).host, 'no call says where the bot is');
      },
    ),
  },
];
