import { z } from 'zod';
import { NATIVE_FROM_BOT, NATIVE_TO_BOT } from './native-wire.ts';
import { TWILIO_FROM_BOT, TWILIO_TO_BOT } from './twilio-wire.ts';

/**
 * The messages as JSON Schema (2020-12), by file name: one document for each dialect and direction,
 * with an example of each message.
 */
export function wireSchemas(): Readonly<Record<string, object>> {
  const document = (title: string, messages: Record<string, z.ZodType>) =>
    z.toJSONSchema(z.union(Object.values(messages)).meta({ title }), { io: 'input' });
  return {
    'native-to-bot.json': document('To a bot, native dialect', NATIVE_TO_BOT),
    'native-from-bot.json': document('From a bot, native dialect', NATIVE_FROM_BOT),
    'twilio-to-bot.json': document('To a bot, Twilio dialect', TWILIO_TO_BOT),
    'twilio-from-bot.json': document('From a bot, Twilio dialect', TWILIO_FROM_BOT),
  };
}
