import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AudioFormat } from '../src/audio/format.ts';
import { expandBotUrl } from '../src/config/bot-url.ts';
import type { StartFields } from '../src/pipecat/dialect.ts';
import { startQuery } from '../src/pipecat/native.ts';
import type { Line } from './caller.ts';
import type { CheckPlan } from './check.ts';
import type { Options } from './options.ts';
import { phrase, recordedSpeech } from './speech.ts';
import type { Patience } from './steps.ts';

function startFields(options: Options): StartFields {
  const id = randomBytes(6).toString('hex');
  return {
    callId: `bot-check-${id}`,
    streamId: id,
    tenant: options.tenant,
    encoding: options.encoding,
    sampleRate: options['sample-rate'],
    direction: 'inbound',
    channelId: id,
    sipCallId: id,
    sipProvider: options.provider,
    from: options.from,
    to: options.to,
    variables: {},
    appArgs: [],
    customVars: {},
    headers: {},
    framing: options.framing,
  };
}

function patience(options: Options): Patience {
  return {
    // As BOT_CONNECT_MS is unless the bridge's configuration says otherwise.
    connectMs: 10_000,
    greetingMs: options['greeting-ms'],
    greetingEndMs: 15_000,
    pingMs: 2_000,
    silenceMs: 2_000,
    responseMs: options['response-ms'],
    offenceMs: 1_000,
  };
}

/**
 * What to check, from the options. `authorization` is the header's value. Throws an Error if a file
 * cannot be used.
 */
export function checkPlan(options: Options, authorization: string | undefined): CheckPlan {
  const format: AudioFormat = { encoding: options.encoding, sampleRate: options['sample-rate'] };
  const ca = options['ca-file'] === undefined ? undefined : readFileSync(options['ca-file'], 'utf8');
  const line = (): Line => {
    const start = startFields(options);
    const url = expandBotUrl(options.url, start);
    const target = { url, query: startQuery(start), authorization, origin: options.origin, ca };
    return { target, dialect: options.dialect, start };
  };
  return {
    line,
    dialect: options.dialect,
    patience: patience(options),
    hasWords: options.speech !== undefined,
    speech:
      options.speech === undefined ? phrase(format) : recordedSpeech(readFileSync(options.speech), format),
  };
}
