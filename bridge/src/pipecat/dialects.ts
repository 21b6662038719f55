import type { Dialect, DialectName, StartFields } from './dialect.ts';
import { NativeDialect } from './native.ts';
import { TwilioDialect } from './twilio.ts';

/** Makes the wire format of one call's bot. */
export function createDialect(name: DialectName, start: StartFields): Dialect {
  return name === 'twilio' ? new TwilioDialect(start) : new NativeDialect(start.encoding, start.sampleRate);
}
