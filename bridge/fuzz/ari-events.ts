import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EVENT_TYPES, parseChannels, parseEvent } from '../src/ari/model.ts';
import { describeCall } from '../src/call/info.ts';
import type { FuzzTarget } from './target.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({
    unit: fc.constantFrom('a', '7', '\u0000', '\r\n', '\u001b', '\uD800', '%', '=', '&'),
    maxLength: 20,
  }),
  // A field's limit is 256, a variable's 8192 characters.
  fc.string({ minLength: 1, maxLength: 9 }).map((part) => part.repeat(1_200)),
);
const value = fc.oneof(text, fc.jsonValue(), fc.constant(undefined));
const party = fc.record({ number: fc.oneof(text, value) }, { requiredKeys: [] });
const channel = fc.record(
  {
    id: fc.oneof(text, value),
    name: value,
    state: value,
    protocol_id: value,
    caller: fc.oneof(party, value),
    connected: fc.oneof(party, value),
    dialplan: fc.oneof(fc.record({ context: text, exten: text, app_name: text, app_data: text }), value),
    channelvars: fc.oneof(
      fc.dictionary(
        fc.constantFrom('X_CALL_ID', 'SIP_HEADERS', 'CUSTOM_VARS', 'X_SR', 'X_CODEC', 'X_TENANT'),
        text,
      ),
      value,
    ),
  },
  { requiredKeys: ['id'] },
);
const event = fc.record(
  {
    type: fc.oneof(fc.constantFrom(...EVENT_TYPES), text),
    channel,
    peer: channel,
    caller: channel,
    args: fc.oneof(fc.array(text), value),
    cause: value,
    digit: value,
    duration_ms: value,
    dialstatus: value,
    dialstring: value,
  },
  { requiredKeys: ['type'] },
);
/** A caller who comes in, whose every text somebody outside chose. */
const start = fc.record({
  type: fc.constant('StasisStart'),
  channel: fc.record({
    id: fc.constant('1763800000.1'),
    name: fc.constantFrom('PJSIP/acme-00000001', 'PJSIP/x'),
    protocol_id: text,
    caller: fc.record({ number: text }),
    connected: fc.record({ number: text }),
    dialplan: fc.record({ context: text, exten: fc.oneof(text, fc.constant('s')), app_name: text }),
    channelvars: fc.record(
      {
        X_CALL_ID: text,
        X_TENANT: text,
        INBOUND_DID: text,
        INBOUND_FROM: text,
        SIP_CALL_ID: text,
        INBOUND_PROVIDER: text,
        AGENT_ID: text,
        INBOUND_PRESENTATION: text,
        INBOUND_WAIT_S: text,
        CUSTOM_VARS: text.map((value) => `a=${encodeURIComponent(value.toWellFormed())}`),
        SIP_HEADERS: text.map((value) => `X-Call-ID=${encodeURIComponent(value.toWellFormed())}`),
      },
      { requiredKeys: [] },
    ),
  }),
  args: fc.array(text, { maxLength: 3 }),
});
const REFUSALS = ['SyntaxError', 'ZodError', '$ZodError'];

/** What the events socket does: what is no event is refused with an error of a known kind. */
function parsed(json: string) {
  try {
    return parseEvent(json);
  } catch (error) {
    assert.ok(REFUSALS.includes((error as Error).name), String(error));
    return undefined;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'ari events: any JSON is an event, passed over, or refused; one of a call describes it',
    property: fc.property(fc.oneof(start, event, fc.jsonValue()), (message) => {
      const found = parsed(JSON.stringify(message) ?? 'null');
      if (found?.type !== 'StasisStart') return;
      const info = describeCall({
        channel: found.channel,
        appArgs: found.args,
        variables: found.channel.channelvars ?? {},
        wasDialled: false,
        dialled: undefined,
        provider: undefined,
        defaults: {
          encoding: 'pcmu',
          sampleRate: 8_000,
          transport: 'rtp',
          framing: 'json',
          dialect: 'native',
        },
        newId: () => 'made-up',
      });
      assert.ok(info.callId.length <= 128 && info.from.length <= 256 && info.to.length <= 256);
      assert.ok(JSON.stringify(info).isWellFormed());
      for (const values of [info.variables, info.headers, info.customVars, info.appArgs])
        for (const value of Object.values(values)) assert.ok(value.length <= 8_192);
      for (const shown of [
        info.callId,
        info.from,
        info.to,
        info.sipCallId,
        info.sipProvider,
        info.tenant ?? '',
      ])
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cs}]/u);
    }),
  },
  {
    name: 'ari events: any text at all is refused with an error of a known kind',
    property: fc.property(
      fc.oneof(
        text,
        fc.json(),
        fc.tuple(fc.json(), fc.nat(40)).map(([json, cut]) => json.slice(cut)),
      ),
      (any) => {
        parsed(any);
      },
    ),
  },
  {
    name: 'ari replies: any JSON is a list of channels or refused',
    property: fc.property(fc.oneof(fc.array(channel), fc.jsonValue()), (reply) => {
      try {
        for (const { id } of parseChannels(JSON.parse(JSON.stringify(reply) ?? 'null')))
          assert.equal(typeof id, 'string');
      } catch (error) {
        assert.ok(REFUSALS.includes((error as Error).name), String(error));
      }
    }),
  },
];
