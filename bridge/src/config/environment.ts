import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { DIALECTS, ENCODINGS, FRAMINGS } from '../pipecat/dialect.ts';
import { DAY_S, MEBIBYTE } from '../units/units.ts';
import { ladderKeys } from './bot-ladder.ts';
import { botUrl } from './bot-url.ts';
import { parseHostRules } from './callback-url.ts';
import { certificates } from './certificates.ts';
import { headerValue } from './header-value.ts';
import { issueText } from './issue-text.ts';
import { TRANSPORTS } from './media-settings.ts';
import type { PortNeeds } from './port-ranges.ts';
import { loadProviders, type Provider } from './providers.ts';
import { sampleRate } from './sample-rate.ts';

/**
 * All problems of the environment. `message` has one line a problem: the variable, and what is
 * wrong.
 */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

const port = z.coerce.number().int().min(1).max(65535);
const milliseconds = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);
const url = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol) && !value.includes('#'),
      {
        error: `must be a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}, without a fragment`,
      },
    );
/** The system takes a name that it does not know for UTC, without a word. */
const timeZone = z.string().refine(isTimeZone, { error: 'must be a time zone, such as Europe/Berlin' });
/** Names, separated by commas. */
const names = z
  .string()
  .regex(/^[\w-]+( *, *[\w-]+)*$/, { error: 'must be names, separated by commas' })
  .transform((list) => list.split(',').map((name) => name.trim()));
/** Hosts that callbacks may be sent to. */
const hosts = z.string().transform((list, context) => {
  const rules = parseHostRules(list);
  if (rules !== undefined) return rules;
  context.addIssue({ code: 'custom', message: 'must be names or addresses, separated by commas' });
  return z.NEVER;
});
const ipv4 = z.ipv4({ error: 'must be an IPv4 address (a name would be resolved on the packet path)' });

/** Calls that one core carries with reserve (docs/PERFORMANCE.md). */
const CALLS_PER_WORKER = 250;

const settings = z.object({
  ARI_URL: url('http:', 'https:').default('http://127.0.0.1:8088'),
  ARI_USERNAME: z.string().min(1),
  ARI_PASSWORD: z.string().min(1),
  ARI_APP: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .default('pipecat'),
  ARI_TIMEOUT_MS: milliseconds(100, 60_000).default(5_000),
  ARI_HEARTBEAT_MS: milliseconds(50, 60_000).default(1_000),
  RECONCILE_MS: milliseconds(100, 3_600_000).default(30_000),

  PIPECAT_URL: botUrl.default('ws://127.0.0.1:8080/ws/asterisk'),
  PIPECAT_DIALECT: z.enum(DIALECTS).default('native'),
  PIPECAT_AUTHORIZATION: headerValue.optional(),
  PIPECAT_ORIGIN: headerValue.optional(),
  PIPECAT_CA: certificates.optional(),
  PIPECAT_FRAMING: z.enum(FRAMINGS).default('json'),
  ANSWER_ON: ladderKeys.ANSWER_ON.default('connected'),
  FIRST_AUDIO_MS: ladderKeys.FIRST_AUDIO_MS.default(5_000),
  BOT_SPEAKS_FIRST: ladderKeys.BOT_SPEAKS_FIRST.optional(),
  BOT_CONNECT_MS: ladderKeys.BOT_CONNECT_MS.default(10_000),
  BOT_CONNECT_TRIES: ladderKeys.BOT_CONNECT_TRIES.optional(),
  BOT_RECONNECT_MS: ladderKeys.BOT_RECONNECT_MS.default(20_000),
  COMFORT_WAV: ladderKeys.COMFORT_WAV.optional(),
  BOT_CONNECTS_PER_SECOND: z.coerce.number().int().min(1).max(10_000).default(50),
  BOT_RECONNECTS_MAX: z.coerce.number().int().min(1).max(10_000).default(5),
  BOT_END_SILENCE_MS: milliseconds(0, 600_000).default(5_000),
  BOT_REFUSAL_MS: milliseconds(0, 10_000).default(10),
  BOT_PING_MS: milliseconds(100, 60_000).default(500),
  BOT_HUNG_MS: ladderKeys.BOT_HUNG_MS.default(3_000),
  BOT_SEND_BUFFER_BYTES: z.coerce.number().int().min(4_096).max(16_777_216).default(65_536),
  BOT_MAX_MESSAGE_BYTES: z.coerce.number().int().min(4_096).max(33_554_432).default(4_194_304),
  BOT_MAX_BAD_MESSAGES: z.coerce.number().int().min(1).max(100_000).default(50),
  BOT_MESSAGES_PER_SECOND: z.coerce.number().int().min(50).max(1_000_000).default(1_000),
  BOT_CONTROLS_PER_SECOND: z.coerce.number().int().min(10).max(1_000_000).default(200),
  BOT_ORDERS_PER_SECOND: z.coerce.number().int().min(1).max(1_000).default(5),
  BOT_BYTES_PER_SECOND: z.coerce.number().int().min(65_536).max(1_000_000_000).default(MEBIBYTE),
  BOT_BURST_S: z.coerce.number().int().min(1).max(60).default(8),
  BOT_OVER_BUDGET_MS: milliseconds(0, 600_000).default(5_000),

  // Asterisk's setting, which Asterisk checks. It is read here to compare it with what calls
  // need.
  ASTERISK_RTP_PORT_MIN: port.default(10_000),
  ASTERISK_RTP_PORT_MAX: port.default(17_999),
  RTP_ADDRESS: ipv4.default('127.0.0.1'),
  RTP_PORT_MIN: port.default(20_000),
  RTP_PORT_MAX: port.default(23_999),
  MEDIA_TIMEOUT_MS: milliseconds(0, 600_000).default(30_000),
  PLAYOUT_PREBUFFER_MS: z.union([z.literal('adaptive'), milliseconds(0, 500)]).default('adaptive'),
  PLAYOUT_QUEUE_MS: milliseconds(1_000, 600_000).default(120_000),
  DRAIN_SILENCE_MS: milliseconds(0, 600_000).default(200),
  CONCEALMENT: z.enum(['repeat', 'silence']).default('repeat'),
  DEFAULT_ENCODING: z.enum(ENCODINGS).default('pcmu'),
  DEFAULT_SAMPLE_RATE: sampleRate.default(8_000),
  MEDIA_TRANSPORT: z.enum(TRANSPORTS).default('rtp'),
  MEDIA_WORKERS: z.coerce.number().int().min(1).max(64).optional(),

  MAX_CALLS: z.coerce.number().int().min(1).max(10_000).default(400),
  PROVIDER_SHARE_PERCENT: z.coerce.number().int().min(1).max(100).default(80),
  OVERLOAD_LOOP_MS: milliseconds(0, 60_000).default(200),
  OVERLOAD_LATE_PERCENT: z.coerce.number().min(0).max(100).default(30),
  MAX_CALL_DURATION_S: z.coerce.number().int().min(1).max(DAY_S).default(7_200),
  MAX_DURATION_WARNING_S: z.coerce.number().int().min(0).max(3_600).default(30),
  SILENCE_LIMIT_S: z.coerce.number().int().min(0).max(DAY_S).default(0),
  TRANSFER_RING_S: z.coerce.number().int().min(1).max(300).default(30),
  TRANSFER_CONTEXTS: names.default([]),
  RECORDINGS_DIR: z.string().default('/var/lib/pipecat-bridge/recordings'),
  // The header of a WAV file cannot express more than 4 GiB.
  RECORDING_MAX_MB: z.coerce.number().int().min(1).max(4_000).default(1_000),
  RECORDINGS_MAX_MB: z.coerce.number().int().min(0).max(1_000_000_000).default(10_000),
  RECORDINGS_DAYS: z.coerce.number().min(0).max(36_500).default(30),
  RECORDS_DIR: z.string().optional(),
  RECORDS_DAYS: z.coerce.number().int().min(1).max(3_650).default(90),
  RECORDS_MAX_MB: z.coerce.number().int().min(10).max(1_000_000).default(1_024),
  RECORDS_STDOUT: z.enum(['off', 'masked', 'full']).default('masked'),
  CALLBACK_SECRET: z.string().optional(),
  CALLBACK_HOSTS: hosts.default([]),
  CALLBACK_TRIES: z.coerce.number().int().min(1).max(100).default(20),

  HTTP_ADDRESS: ipv4.default('127.0.0.1'),
  HTTP_PORT: z.coerce.number().int().min(0).max(65535).default(8_090),
  API_TOKEN: z.string().min(16).optional(),
  BOT_TOKEN: z.string().min(16).optional(),
  API_REQUESTS_PER_SECOND: z.coerce.number().int().min(1).max(100_000).default(100),
  PROVIDERS_DIR: z.string().optional(),
  DRAIN_S: z.coerce.number().int().min(0).max(DAY_S).default(1_800),
  STOP_MODE: z.enum(['drain', 'handover']).default('drain'),
  STOP_DRAIN_S: z.coerce.number().int().min(0).max(DAY_S).default(60),
  SHUTDOWN_MS: milliseconds(0, 600_000).default(10_000),
  TZ: timeZone.optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

const schema = settings
  .refine((config) => !(config.RTP_PORT_MIN >= config.RTP_PORT_MAX), {
    path: ['RTP_PORT_MAX'],
    // Runs even if another check failed: all problems are reported at once.
    when: () => true,
    error: 'must be above RTP_PORT_MIN',
  })
  .refine(({ BOT_TOKEN, API_TOKEN }) => BOT_TOKEN === undefined || BOT_TOKEN !== API_TOKEN, {
    path: ['BOT_TOKEN'],
    when: () => true,
    error: 'must be another than API_TOKEN: it may only hang up',
  })
  .transform((config) => ({
    ...config,
    MEDIA_WORKERS: config.MEDIA_WORKERS ?? workersFor(config.MAX_CALLS),
    hasDerivedWorkers: config.MEDIA_WORKERS === undefined,
  }))
  // Each worker needs a port range of its own, of at least two ports. A worker without ports would
  // exit at every start.
  .refine((config) => config.RTP_PORT_MAX + 1 - config.RTP_PORT_MIN >= 2 * config.MEDIA_WORKERS, {
    path: ['RTP_PORT_MAX'],
    error: ({ input }) => {
      const { MEDIA_WORKERS } = input as { MEDIA_WORKERS: number };
      return `must leave two ports for each of the ${MEDIA_WORKERS} media workers (MEDIA_WORKERS)`;
    },
  });

/** The names of all settings. {@link SECRETS} may come from files too. */
export const SETTINGS: readonly string[] = Object.keys(settings.shape);

/** One worker if that is enough. One core is left for call control and Asterisk. */
function workersFor(calls: number): number {
  return Math.max(1, Math.min(Math.ceil(calls / CALLS_PER_WORKER), availableParallelism() - 1));
}

/**
 * The whole configuration, validated. Times end in `_MS` or `_S`, sizes in `_BYTES`. Providers are
 * found by name.
 */
export type Config = Readonly<z.infer<typeof schema>> & {
  readonly providers: ReadonlyMap<string, Provider>;
  /** What the file NODE_EXTRA_CA_CERTS says. Node itself reads and checks it. */
  readonly extraCertificates: string;
};

/**
 * Variables that can be read from a file named by `<NAME>_FILE` instead, as container secrets are.
 */
export const SECRETS = [
  'ARI_PASSWORD',
  'API_TOKEN',
  'BOT_TOKEN',
  'CALLBACK_SECRET',
  'PIPECAT_AUTHORIZATION',
  'PIPECAT_CA',
] as const;

/**
 * Validates the environment: the only place that does. An empty or blank value counts as absent.
 * Throws a {@link ConfigError} with every problem. It never quotes a value: some are secrets.
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value?.trim()) values[name] = value;
  for (const name of SECRETS) {
    const path = values[`${name}_FILE`];
    if (path === undefined) continue;
    try {
      values[name] = readFileSync(path, 'utf8').trim();
    } catch (error) {
      problems.push(`${name}_FILE: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
    }
  }
  const result = schema.safeParse(values);
  for (const issue of result.error?.issues ?? []) {
    const name = issue.path.join('.');
    const isMissing = values[name] === undefined && issue.code !== 'custom';
    problems.push(`${name}: ${isMissing ? 'is missing' : issueText(issue, values[name])}`);
  }
  const providers = loadProviders(values.PROVIDERS_DIR, problems);
  if (result.success) problems.push(...ignoredFormats(result.data, [...providers.values()]));
  if (!result.success || problems.length > 0) {
    throw new ConfigError(`the configuration has ${problems.length} problem(s):\n  ${problems.join('\n  ')}`);
  }
  return { ...result.data, providers, extraCertificates: textOf(values.NODE_EXTRA_CA_CERTS) };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/** A file's text. Empty without a file, or if it cannot be read. */
function textOf(path: string | undefined): string {
  try {
    return path === undefined ? '' : readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** RTP ports that calls need, and the ranges that are configured. */
export function portNeeds(config: Config): PortNeeds {
  return {
    maxCalls: config.MAX_CALLS,
    transport: config.MEDIA_TRANSPORT,
    asterisk: { min: config.ASTERISK_RTP_PORT_MIN, max: config.ASTERISK_RTP_PORT_MAX },
    bridge: { min: config.RTP_PORT_MIN, max: config.RTP_PORT_MAX },
  };
}

interface Formats {
  readonly PIPECAT_DIALECT: string;
  readonly DEFAULT_ENCODING: string;
  readonly DEFAULT_SAMPLE_RATE: number;
}

/** Audio formats that are configured but that no call can get with these settings. */
function ignoredFormats(
  { PIPECAT_DIALECT, DEFAULT_ENCODING, DEFAULT_SAMPLE_RATE }: Formats,
  providers: readonly Provider[],
): string[] {
  const isLinear = [DEFAULT_ENCODING, ...providers.map(({ encoding }) => encoding)].includes('pcm16');
  const problems: string[] = [];
  if (DEFAULT_SAMPLE_RATE !== 8_000 && !isLinear)
    problems.push('DEFAULT_SAMPLE_RATE: only pcm16 has other rates than 8000 (DEFAULT_ENCODING)');
  const speakNative = providers.some(({ dialect }) => Object.values(dialect).includes('native'));
  if (PIPECAT_DIALECT === 'twilio' && DEFAULT_ENCODING !== 'pcmu' && !speakNative)
    problems.push('DEFAULT_ENCODING: PIPECAT_DIALECT=twilio has pcmu only');
  return problems;
}
