import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { z } from 'zod';
import { decodeText, mediaText } from '../../test/dialect-texts.ts';
import type { BridgeMessage, StartFields } from './dialect.ts';
import { NativeDialect } from './native.ts';
import { NATIVE_FROM_BOT, NATIVE_TO_BOT } from './native-wire.ts';
import { TwilioDialect } from './twilio.ts';
import { TWILIO_FROM_BOT, TWILIO_TO_BOT } from './twilio-wire.ts';
import { wireSchemas } from './wire.ts';

const DOCUMENTS: [string, Record<string, z.ZodType>][] = [
  ['native-to-bot.json', NATIVE_TO_BOT],
  ['native-from-bot.json', NATIVE_FROM_BOT],
  ['twilio-to-bot.json', TWILIO_TO_BOT],
  ['twilio-from-bot.json', TWILIO_FROM_BOT],
];
const START: StartFields = {
  callId: 'c-1',
  streamId: 's-1',
  tenant: undefined,
  encoding: 'pcmu',
  sampleRate: 8000,
  direction: 'outbound',
  channelId: 'ch-1',
  sipCallId: '',
  sipProvider: 'acme',
  from: '',
  to: '+49',
  variables: { A: 'b' },
  appArgs: ['c-1'],
  customVars: {},
  headers: { 'X-A': '1' },
  framing: 'binary',
};

type Example = { event: string } & Record<string, unknown>;

/** The examples of a document, message by message. */
function examplesOf(name: string): Example[][] {
  const { anyOf } = wireSchemas()[name] as { anyOf: { examples?: Example[] }[] };
  return anyOf.map(({ examples = [] }) => examples);
}

function assertValid(schemas: Record<string, z.ZodType>, message: Example): void {
  const { error } = schemas[message.event]?.safeParse(message) ?? assert.fail(`no ${message.event}`);
  assert.equal(error, undefined, `${JSON.stringify(message)}: ${error?.message}`);
}

for (const [name, schemas] of DOCUMENTS) {
  test(`${name} is what the schemas say (else: npm run wire)`, () => {
    const file = readFileSync(new URL(`../../wire/${name}`, import.meta.url), 'utf8');
    assert.deepEqual(JSON.parse(file), JSON.parse(JSON.stringify(wireSchemas()[name])));
  });

  test(`${name} has a valid example of every message, and is named by its event`, () => {
    assert.deepEqual(
      examplesOf(name).map(([first]) => first?.event),
      Object.keys(schemas),
    );
    for (const example of examplesOf(name).flat()) assertValid(schemas, example);
  });
}

test('every example from a bot is understood by its dialect', () => {
  const dialects = [
    ['native-from-bot.json', new NativeDialect('pcmu', 8000)],
    ['twilio-from-bot.json', new TwilioDialect(START)],
  ] as const;
  for (const [name, dialect] of dialects)
    for (const example of examplesOf(name).flat())
      assert.equal(decodeText(dialect, JSON.stringify(example)).type, example.event);
});

/** What the bridge may tell, from the examples of what a bot is told. */
function bridgeMessages(): BridgeMessage[] {
  return examplesOf('native-to-bot.json')
    .flat()
    .filter(({ event }) => event !== 'start' && event !== 'media')
    .map(({ event, ...fields }) => ({
      type: event,
      ...(event === 'mark' ? { cleared: false } : {}),
      ...fields,
    })) as BridgeMessage[];
}

const audio = Buffer.from([1, 2, 3]);

test('what the native encoder writes is as the schemas say, and as the examples show', () => {
  const dialect = new NativeDialect('pcmu', 8000);
  const opening = [...dialect.start(START, true), mediaText(dialect, audio, 0, 3, 20)];
  for (const text of opening) assertValid(NATIVE_TO_BOT, JSON.parse(text));
  const written = bridgeMessages().map((message) => JSON.parse(dialect.encode(message)));
  for (const message of written) assertValid(NATIVE_TO_BOT, message);
  const shown = examplesOf('native-to-bot.json').flat();
  assert.deepEqual(
    written,
    shown.filter(({ event }) => event !== 'start' && event !== 'media'),
  );
});

test('what the Twilio encoder writes is as the schemas say, every message of them', () => {
  const dialect = new TwilioDialect(START);
  const opening = [...dialect.start(START, true), mediaText(dialect, audio, 0, 3, 20)];
  const told = bridgeMessages().flatMap((message) => dialect.encode(message) ?? []);
  const written: Example[] = [...opening, ...told].map((text) => JSON.parse(text));
  for (const message of written) assertValid(TWILIO_TO_BOT, message);
  assert.deepEqual([...new Set(written.map(({ event }) => event))], Object.keys(TWILIO_TO_BOT));
});
