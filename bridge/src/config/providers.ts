import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import {
  DIALECTS,
  type DialectName,
  ENCODINGS,
  FRAMINGS,
  type Framing,
  type WireEncoding,
  type WireRate,
} from '../pipecat/dialect.ts';
import { type LadderOfProvider, ladderKeys, ladderOf } from './bot-ladder.ts';
import { botUrl } from './bot-url.ts';
import type { CallLimits } from './call-limits.ts';
import { certificates } from './certificates.ts';
import { headerValue } from './header-value.ts';
import { issueText } from './issue-text.ts';
import { RECORDING_MODES, type RecordingMode, TRANSPORTS, type Transport } from './media-settings.ts';
import { homePrefixes, type NumberPlan, parsePrefixes } from './number-plan.ts';
import { keyProblems, parseProviderKeys } from './provider-keys.ts';
import { sampleRate } from './sample-rate.ts';

/**
 * How a caller is transferred to a number: by SIP REFER (RFC 3515), or by a second call that the
 * bridge places and joins. `auto` tries REFER first.
 */
export type TransferMethod = 'refer' | 'bridge' | 'auto';

/**
 * The bridge's part of a SIP provider's file (`asterisk/providers/NAME.env`). Asterisk reads the
 * rest.
 */
export interface Provider {
  /** Name of the PJSIP endpoint. */
  readonly name: string;
  /** URL of the bot, by direction. Unset: `PIPECAT_URL` of the environment. */
  readonly pipecatUrl: { readonly inbound: string | undefined; readonly outbound: string | undefined };
  /** Wire format of its bots, by direction. Unset: `PIPECAT_DIALECT` of the environment. */
  readonly dialect: { readonly inbound: DialectName | undefined; readonly outbound: DialectName | undefined };
  /** The Authorization header's value in requests to the bot. */
  readonly pipecatAuthorization: string | undefined;
  /** The Origin header's value in requests to the bot. */
  readonly pipecatOrigin: string | undefined;
  /**
   * Certificate authorities (PEM) that the bots' certificates are verified with. Unset:
   * `PIPECAT_CA` of the environment.
   */
  readonly pipecatCa: string | undefined;
  /**
   * Audio format of its bots. Unset: `DEFAULT_ENCODING`, `DEFAULT_SAMPLE_RATE` of the environment.
   */
  readonly encoding: WireEncoding | undefined;
  readonly sampleRate: WireRate | undefined;
  /** Media transport to Asterisk. Unset: `MEDIA_TRANSPORT` of the environment. */
  readonly transport: Transport | undefined;
  /** How audio is framed to its bots. Unset: `PIPECAT_FRAMING` of the environment. */
  readonly framing: Framing | undefined;
  /**
   * What its calls do until the bot is heard, and when it is lost. Unset: as in the environment.
   */
  readonly ladder?: LadderOfProvider;
  /** Tenant of calls that do not name one. */
  readonly tenant: string | undefined;
  /** How long the bot's audio is held while the caller speaks, ms. 0: never. */
  readonly bargeInHoldMs: number;
  /**
   * Whether calls are recorded, unless the call says otherwise. `paused`: not until the bot or the
   * operator resumes the recording.
   */
  readonly recording: RecordingMode;
  /** Caller number of outbound calls that do not name one. */
  readonly callerId: string | undefined;
  /** Whether bots and records get a number that the caller withheld. */
  readonly passesWithheldNumbers?: boolean;
  /** How its callers are transferred to a number. */
  readonly transferMethod: TransferMethod;
  readonly numbers: NumberPlan;
  readonly limits: CallLimits;
}

/** The path of a secret's file. The value becomes the file's content. */
const secretFile = z.string().transform((path, context) => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    context.addIssue({ code: 'custom', message: `cannot be read (${code})` });
    return z.NEVER;
  }
});

const prefixes = z.string().transform((list, context) => {
  try {
    return parsePrefixes(list);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

/** `none` means that there is no such prefix, because an empty value counts as absent. */
const dialPrefix = z
  .string()
  .regex(/^(none|\d{1,5})$/, { error: 'must be digits, or none' })
  .transform((value) => (value === 'none' ? '' : value));

const schema = z.object({
  PIPECAT_URL: botUrl.optional(),
  PIPECAT_URL_INBOUND: botUrl.optional(),
  PIPECAT_URL_OUTBOUND: botUrl.optional(),
  PIPECAT_DIALECT: z.enum(DIALECTS).optional(),
  PIPECAT_DIALECT_INBOUND: z.enum(DIALECTS).optional(),
  PIPECAT_DIALECT_OUTBOUND: z.enum(DIALECTS).optional(),
  PIPECAT_AUTHORIZATION: headerValue.optional(),
  PIPECAT_AUTHORIZATION_FILE: secretFile.pipe(headerValue).optional(),
  PIPECAT_ORIGIN: headerValue.optional(),
  PIPECAT_CA_FILE: secretFile.pipe(certificates).optional(),
  PIPECAT_ENCODING: z.enum(ENCODINGS).optional(),
  PIPECAT_SAMPLE_RATE: sampleRate.optional(),
  MEDIA_TRANSPORT: z.enum(TRANSPORTS).optional(),
  PIPECAT_FRAMING: z.enum(FRAMINGS).optional(),
  ...z.object(ladderKeys).partial().shape,
  TENANT: z.string().max(128).optional(),
  RECORDING: z.enum(RECORDING_MODES).default('off'),
  BARGE_IN_HOLD_MS: z.coerce.number().int().min(0).max(10_000).default(0),
  TRANSFER_METHOD: z.enum(['refer', 'bridge', 'auto']).default('auto'),
  WITHHELD_NUMBERS: z.enum(['hide', 'pass']).default('hide'),
  CALLER_ID: z.string().max(64).optional(),
  NUMBER_FORMAT: z.enum(['e164plus', 'e164', 'national']).default('e164plus'),
  COUNTRY_CODE: z
    .string()
    .regex(/^[1-9]\d{0,2}$/, { error: 'must be the digits of a country code, such as 49' })
    .optional(),
  TRUNK_PREFIX: dialPrefix.default('0'),
  INTERNATIONAL_PREFIX: dialPrefix.default('00'),
  ALLOWED_PREFIXES: prefixes.optional(),
  OUTBOUND_MAX_CALLS: z.coerce.number().int().min(0).max(10_000).default(0),
  OUTBOUND_CALLS_PER_SECOND: z.coerce.number().min(0.01).max(1_000).default(5),
});

/** Every key that a provider's file may have. Asterisk's own check reads the same list. */
const KEYS_FILE = new URL('../../../asterisk/provider-keys', import.meta.url);

/** The keys that this file's schema reads. */
export const BRIDGE_KEYS: readonly string[] = Object.keys(schema.shape);

/**
 * Reads every `*.env` file of a folder. Without a folder there are no providers, and every call
 * takes the defaults. Problems are appended to `problems` as `file: key: what`, so that the start
 * reports all of them.
 */
export function loadProviders(directory: string | undefined, problems: string[]): Map<string, Provider> {
  const providers = new Map<string, Provider>();
  if (directory === undefined) return providers;
  let files: string[];
  try {
    files = readdirSync(directory).filter((file) => file.endsWith('.env'));
  } catch {
    problems.push('PROVIDERS_DIR: cannot be read');
    return providers;
  }
  const keys = parseProviderKeys(readFileSync(KEYS_FILE, 'utf8'));
  for (const file of files.sort()) {
    const name = file.slice(0, -'.env'.length);
    let text = '';
    try {
      text = readFileSync(join(directory, file), 'utf8');
      problems.push(...keyProblems(text, keys).map((problem) => `${file}: ${problem}`));
      providers.set(name, parseProvider(name, text));
    } catch (error) {
      const issues =
        error instanceof z.ZodError ? error.issues : [{ path: [], message: (error as Error).message }];
      const values = parseEnv(text);
      for (const issue of issues) {
        const found = issueText(issue, values[issue.path.join('.')]);
        problems.push(`${file}: ${[...issue.path, found].join(': ')}`);
      }
    }
  }
  return providers;
}

/** Parses one provider's file. Throws a `ZodError`, also if a secret's file cannot be read. */
export function parseProvider(name: string, text: string): Provider {
  const filled = Object.entries(parseEnv(text)).filter(([, value]) => value?.trim());
  const values = schema.parse(Object.fromEntries(filled));
  return {
    name,
    pipecatUrl: {
      inbound: values.PIPECAT_URL_INBOUND ?? values.PIPECAT_URL,
      outbound: values.PIPECAT_URL_OUTBOUND ?? values.PIPECAT_URL,
    },
    dialect: {
      inbound: values.PIPECAT_DIALECT_INBOUND ?? values.PIPECAT_DIALECT,
      outbound: values.PIPECAT_DIALECT_OUTBOUND ?? values.PIPECAT_DIALECT,
    },
    pipecatAuthorization: values.PIPECAT_AUTHORIZATION_FILE ?? values.PIPECAT_AUTHORIZATION,
    pipecatOrigin: values.PIPECAT_ORIGIN,
    pipecatCa: values.PIPECAT_CA_FILE,
    encoding: values.PIPECAT_ENCODING,
    sampleRate: values.PIPECAT_SAMPLE_RATE,
    transport: values.MEDIA_TRANSPORT,
    framing: values.PIPECAT_FRAMING,
    ladder: ladderOf(values),
    tenant: values.TENANT,
    bargeInHoldMs: values.BARGE_IN_HOLD_MS,
    recording: values.RECORDING,
    passesWithheldNumbers: values.WITHHELD_NUMBERS === 'pass',
    callerId: values.CALLER_ID,
    transferMethod: values.TRANSFER_METHOD,
    numbers: {
      format: values.NUMBER_FORMAT,
      countryCode: values.COUNTRY_CODE,
      trunkPrefix: values.TRUNK_PREFIX,
      internationalPrefix: values.INTERNATIONAL_PREFIX,
      allowed: values.ALLOWED_PREFIXES ?? homePrefixes(values.COUNTRY_CODE),
    },
    limits: { maxCalls: values.OUTBOUND_MAX_CALLS, callsPerSecond: values.OUTBOUND_CALLS_PER_SECOND },
  };
}
