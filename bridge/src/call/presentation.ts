/** Whether a caller shows their number, by what the dialplan read of the INVITE. Pure. */

/** `restricted`: the caller withheld their number. `unavailable`: the network has none. */
export type Presentation = 'allowed' | 'restricted' | 'unavailable';

/** What stands for a number that its caller withheld (RFC 3323 section 4.1.1.3). */
export const WITHHELD = 'anonymous';

/** Values of the Privacy header (RFC 3323 section 4.2, RFC 3325 section 9.3) that ask for the caller's name to be hidden. */
const PRIVATE = new Set(['id', 'user', 'header', 'history', 'session']);

/**
 * Reads the variable INBOUND_PRESENTATION: Asterisk's word for the caller's number (`allowed_…`, `prohib_…`, `unavailable`), a
 * blank, and the values of the Privacy header. Undefined where the dialplan says nothing.
 */
export function presentationOf(variable: string | undefined, number: string): Presentation | undefined {
  if (!variable) return undefined;
  const [word = '', privacy = ''] = variable.toLowerCase().split(' ');
  const asksPrivacy = privacy.split(/[;,]/).some((value) => PRIVATE.has(value));
  if (word.startsWith('prohib') || asksPrivacy || number.toLowerCase() === WITHHELD) return 'restricted';
  return word.startsWith('allowed') && number !== '' ? 'allowed' : 'unavailable';
}
