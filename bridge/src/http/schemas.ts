import { z } from 'zod';
import { isUsableId } from '../call/call-ids.ts';
import { text } from '../control/orders.ts';
import { RECORDING_REQUESTS, RECORDING_STATES, TRANSFER_MODES } from '../pipecat/dialect.ts';
import { callRecordSchema } from '../records/record.ts';

/** A call in responses: its record, as far as it is known. */
export const callSchema = callRecordSchema.meta({ id: 'Call' });

/** Call ids from outside may have any printable character, URL-encoded. */
export const callParams = z.object({
  id: z
    .string()
    .refine(isUsableId, { error: 'must be 1 to 128 printable characters' })
    .describe("The call's id, or its channel's; URL-encoded"),
});

/** Answer of a list: a page of calls, and where the next one begins. */
export const callPageSchema = z
  .object({
    calls: z.array(callSchema),
    nextCursor: z.string().optional().describe('Absent after the last page'),
  })
  .meta({ id: 'CallPage' });

/** Request: keys to send to the caller. */
export const dtmfSchema = z.strictObject({
  digits: z.string().regex(/^[0-9A-D*#wW,]{1,64}$/i, {
    error: 'must be 1 to 64 of 0-9 A-D * #, and w or , for a pause of 500 ms',
  }),
});

/** Request: a transfer of the caller. */
export const transferSchema = z.strictObject({
  to: text(256).describe('Number; with mode dialplan the extension, unless `extension` says another'),
  provider: text(64).optional().describe("Whose trunk is dialled over [the call's own]"),
  mode: z.enum(TRANSFER_MODES).optional(),
  context: text(128).optional(),
  extension: text(128).optional(),
});

/** Request: pause or resume the recording. */
export const recordingSchema = z.strictObject({ state: z.enum(RECORDING_REQUESTS) });
/** Answer: what the recording is now. */
export const recordingStateSchema = z.object({ state: z.enum(RECORDING_STATES) });

const fieldErrorSchema = z.object({ field: z.string(), reason: z.string() });
export type FieldError = z.infer<typeof fieldErrorSchema>;

/** The body of every error (RFC 9457). */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(fieldErrorSchema).optional().describe('Which fields of the request are wrong, and why'),
  })
  .meta({ id: 'Problem' });
export type ProblemBody = z.infer<typeof problemSchema>;

/** Headers of `GET /events`. */
export const eventsHeaders = z.object({
  'last-event-id': z
    .string()
    .max(64)
    .optional()
    .describe('Id of the last event that you had: those since then follow'),
});

/** `data` of an event. */
export const eventSchema = z
  .object({ type: z.string(), at: z.iso.datetime(), call: callSchema })
  .meta({ id: 'Event' });
