import { z } from 'zod';
import { callRecordSchema } from '../records/record.ts';
import { DAY_S } from '../units/units.ts';

/** Longest ring timeout, s. */
const RING_MAX_S = 300;
const RING_DEFAULT_S = 45;
const VARIABLES_MAX = 64;

const callId = z.string().regex(/^(?!\.*$)[\w.:@+~-]{1,128}$/, {
  error: 'must be 1 to 128 letters, digits or any of _ . : @ + ~ -',
});
/** Printable text without unpaired surrogates, which a URL cannot carry. */
export const text = (maxChars: number) =>
  z
    .string()
    .min(1)
    .max(maxChars)
    .refine((value) => !/[\p{Cc}\p{Cs}]/u.test(value), {
      error: 'must be text without control characters and half surrogate pairs',
    });
const webUrl = z
  .string()
  .max(2_048)
  .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text), {
    error: 'must be a URL starting with http:// or https://',
  });
const NAME_ERROR = 'a name must be a letter or _, then up to 63 letters, digits, _ or -';
const variables = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/),
    z
      .string()
      .max(1_024)
      .refine((value) => value.isWellFormed(), {
        error: 'must be text without half surrogate pairs',
      }),
    {
      error: ({ code }) => (code === 'invalid_key' ? NAME_ERROR : undefined),
    },
  )
  .refine((pairs) => Object.keys(pairs).length <= VARIABLES_MAX, {
    error: `must be at most ${VARIABLES_MAX} pairs`,
  });

/** Body of `POST /calls`. */
export const callOrderSchema = z
  .strictObject({
    to: z
      .string()
      .max(64)
      .describe('Number to call: E.164, or national where the provider has a COUNTRY_CODE'),
    provider: text(64).describe('Name of a provider: its file without .env'),
    from: z.string().min(1).max(64).optional().describe("Our number [the provider's CALLER_ID]"),
    callId: callId.optional().describe('Your id of the call: the same one again is the same call [random]'),
    ringTimeoutSeconds: z
      .int()
      .min(1)
      .max(RING_MAX_S)
      .default(RING_DEFAULT_S)
      .describe('How long it may ring'),
    maxDurationSeconds: z
      .int()
      .min(1)
      .max(DAY_S)
      .optional()
      .describe('How long the call may last from the answer on; MAX_CALL_DURATION_S holds too'),
    tenant: text(128).optional().describe("[the provider's TENANT]"),
    variables: variables
      .optional()
      .describe(
        'For the bot: `variables` and, where the bridge does not know the name, `custom_vars` of `start`',
      ),
    callbackUrl: webUrl.optional().describe('Told of the end of the call'),
  })
  .meta({ id: 'CallOrder' });
export type CallOrder = z.infer<typeof callOrderSchema>;

const instant = z.iso.datetime({ offset: true });

/** Query of `GET /calls`. */
export const listQuery = z.strictObject({
  since: instant.optional().describe('Offered at this time or later'),
  until: instant.optional().describe('Offered before this time'),
  number: z
    .string()
    .regex(/^\+?\d{2,15}$/, { error: 'must be digits, perhaps after a plus' })
    .optional()
    .describe('Who called or was called, by the last digits'),
  provider: text(64).optional(),
  direction: callRecordSchema.shape.direction.optional(),
  outcome: callRecordSchema.shape.outcome,
  endReason: callRecordSchema.shape.endReason,
  state: callRecordSchema.shape.state.optional().describe('`closed` for calls that have ended'),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z.string().max(256).optional().describe('nextCursor of the page before'),
});
export type ListQuery = z.infer<typeof listQuery>;
