import { parseArgs } from 'node:util';
import { z } from 'zod';
import { botUrl } from '../src/config/bot-url.ts';
import { DIALECTS, ENCODINGS, FRAMINGS, RATES } from '../src/pipecat/dialect.ts';

/** Shown by --help. */
export const USAGE = `bot-check: plays a caller against a Pipecat bot, without Asterisk, and says what passed
  --url ws://host:port/path   the bot; {call_id}, {from}, {to} … as in PIPECAT_URL
  --dialect native            or twilio
  --encoding pcmu             pcma, pcm16       --sample-rate 8000   16000 or 24000, with pcm16
  --framing json              or binary
  --to 100                    number called     --from +4915112345   caller's number
  --provider bot-check        SIP provider      --tenant NAME
  --origin URL                Origin header     --ca-file FILE       PEM, the only authority for wss
  --speech FILE               WAV, 16 bits linear: what the caller says [syllables without words]
  --greeting-ms 5000          wait for first words
  --response-ms 8000          wait for an answer to the caller
  --json                      one JSON object in place of the table
  AUTHORIZATION in the environment is sent as the header of that name.
  Ends with 0: passed; 1: something required failed; 2: wrong options; 3: the bot hung up before all was tried.`;

const ms = z.coerce.number().int().min(100).max(60_000);
const optionsSchema = z
  .object({
    url: botUrl,
    dialect: z.enum(DIALECTS).default('native'),
    encoding: z.enum(ENCODINGS).default('pcmu'),
    'sample-rate': z.coerce.number().pipe(z.literal(RATES)).default(8000),
    framing: z.enum(FRAMINGS).default('json'),
    to: z.string().default('100'),
    from: z.string().default('+4915112345'),
    provider: z.string().default('bot-check'),
    tenant: z.string().optional(),
    origin: z.string().optional(),
    'ca-file': z.string().optional(),
    speech: z.string().optional(),
    'greeting-ms': ms.default(5_000),
    'response-ms': ms.default(8_000),
    json: z.boolean().default(false),
  })
  .refine((options) => options.encoding === 'pcm16' || options['sample-rate'] === 8000, {
    path: ['sample-rate'],
    message: 'must be 8000 unless the encoding is pcm16',
  })
  .refine(
    ({ dialect, encoding, framing }) => dialect === 'native' || (encoding === 'pcmu' && framing === 'json'),
    {
      path: ['dialect'],
      message: 'twilio is pcmu at 8000 Hz, in JSON',
    },
  );

const ARGUMENTS = Object.fromEntries(
  Object.keys(optionsSchema.shape).map((name) => [
    name,
    { type: name === 'json' ? ('boolean' as const) : ('string' as const) },
  ]),
);

/** What is checked, and how. */
export type Options = z.infer<typeof optionsSchema>;

/**
 * Reads the arguments. An empty value counts as absent. Throws an Error that says which are wrong.
 */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({ args: [...args], options: ARGUMENTS });
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''));
  const { data, error } = optionsSchema.safeParse(given);
  if (data !== undefined) return data;
  throw new Error(error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'));
}
