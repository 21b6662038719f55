import { z } from 'zod';

/** Asterisk's messages on a media WebSocket (chan_websocket, JSON control messages). */
export type MediaEvent =
  | {
      readonly event: 'MEDIA_START';
      readonly format: string;
      readonly optimal_frame_size: number;
      readonly ptime: number;
    }
  | { readonly event: 'MEDIA_XOFF' }
  | { readonly event: 'MEDIA_XON' }
  /** The answer to {@link GET_STATUS}: frames that Asterisk has yet to play. */
  | { readonly event: 'STATUS'; readonly queue_length: number }
  | { readonly event: 'other' };

const startSchema = z.object({
  event: z.literal('MEDIA_START'),
  format: z.string(),
  optimal_frame_size: z.number().int().positive(),
  ptime: z.number().positive().default(20),
});
const statusSchema = z.object({ event: z.literal('STATUS'), queue_length: z.number().int().min(0) });
const eventSchema = z.object({ event: z.string() });

/** Drops the audio that Asterisk has queued. */
export const FLUSH_MEDIA = '{"command":"FLUSH_MEDIA"}';

/** Asks how much audio Asterisk has queued. */
export const GET_STATUS = '{"command":"GET_STATUS"}';

/**
 * Parses a text message. Throws if it is not one of Asterisk's. Events that the bridge does not use
 * are `other`.
 */
export function parseMediaEvent(text: string): MediaEvent {
  const message: unknown = JSON.parse(text);
  const { event } = eventSchema.parse(message);
  if (event === 'MEDIA_START') return startSchema.parse(message);
  if (event === 'STATUS') return statusSchema.parse(message);
  return event === 'MEDIA_XOFF' || event === 'MEDIA_XON' ? { event } : { event: 'other' };
}
