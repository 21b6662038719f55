import type { z } from 'zod';
import type { BotMessage } from './dialect.ts';

/** A message as JSON has it. */
export type WireMessage = Readonly<Record<string, unknown>>;

/**
 * Reads a bot's message. `media` reads the frequent one by hand, all others are checked by the schema of their event, whose output
 * is the message with its event. Never throws.
 */
export function decodeMessage(
  text: string,
  controls: Readonly<Record<string, z.ZodType>>,
  media: (message: WireMessage) => BotMessage,
): BotMessage {
  let message: WireMessage | null;
  try {
    message = JSON.parse(text);
  } catch {
    return { type: 'bad', code: 'not-json', detail: 'the message is not JSON' };
  }
  const event = message?.event;
  if (message === null || typeof event !== 'string')
    return { type: 'bad', code: 'no-event', detail: 'the message has no event' };
  if (event === 'media') return media(message);
  const schema = Object.hasOwn(controls, event) ? controls[event] : undefined;
  if (schema === undefined) return { type: 'unknown', event };
  const control = schema.safeParse(message);
  if (!control.success) {
    const issue = control.error.issues[0];
    return {
      type: 'bad',
      code: 'bad-field',
      detail: `${event}.${issue?.path.join('.')}: ${issue?.message}`,
    };
  }
  const { event: type, ...fields } = control.data as { event: string };
  return { type, ...fields } as BotMessage;
}
