import { z } from 'zod';

/** Limits of what a bot may send in one message. */
const MARK_NAME_MAX_CHARS = 256;
const DTMF_MAX_DIGITS = 128;
const TRANSFER_TO_MAX_CHARS = 256;
const NAME_MAX_CHARS = 80;

const markName = z.string().max(MARK_NAME_MAX_CHARS);

/** What a bot may send besides media, by its event, in the native dialect. */
export const CONTROLS = {
  clear: z.object({ event: z.literal('clear') }),
  resume: z.object({ event: z.literal('resume') }),
  mark: z.object({ event: z.literal('mark'), name: markName }),
  dtmf: z.object({
    event: z.literal('dtmf'),
    digits: z
      .string()
      // A `w` or a comma is a pause of 500 ms.
      .regex(/^[0-9A-D*#w,]+$/i)
      .max(DTMF_MAX_DIGITS),
  }),
  hangup: z.object({ event: z.literal('hangup'), immediate: z.boolean().default(false) }),
  recording: z.object({ event: z.literal('recording'), state: z.enum(['pause', 'resume']) }),
  transfer: z.object({
    event: z.literal('transfer'),
    to: z.string().min(1).max(TRANSFER_TO_MAX_CHARS),
    provider: z.string().max(NAME_MAX_CHARS).optional(),
    mode: z.enum(['blind', 'dialplan']).optional(),
    context: z.string().max(NAME_MAX_CHARS).optional(),
    extension: z.string().max(NAME_MAX_CHARS).optional(),
  }),
};

/** The same in the Twilio dialect: its own `clear` and `mark`, and what only the native dialect has. */
export const TWILIO_CONTROLS = {
  ...CONTROLS,
  mark: z
    .object({ event: z.literal('mark'), mark: z.object({ name: markName }) })
    .transform(({ event, mark }) => ({ event, name: mark.name })),
};
