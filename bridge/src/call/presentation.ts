/** Whether a caller shows their number, by what the dialplan read of the INVITE. Pure. */

/** `restricted`: the caller withheld their number. `unavailable`: the network has none. */
export type Presentation = 'allowed' | 'restricted' | 'unavailable';

/** What stands for a number that its caller withheld (RFC 3323 section 4.1.1.3). */
export const WITHHELD = 'anonymous';

/** Values of the Privacy header (RFC 3323 section 4.2, RFC 3325 section 9.3) that ask for the caller's name to be hidden. */
const PRIVATE = new Set(['id', 'user', 'header', 'history', 'session']);

/** What more parties than one say of the caller's number is much shorter. */
const READABLE_CHARS = 1_000;

/**
 * Reads the variable INBOUND_PRESENTATION, words with a blank between them: Asterisk's own for the caller's number (`allowed_…`,
 * `prohib_…`, `unavailable`), the values of two Privacy headers and how many there are, and the same of Remote-Party-ID. What could
 * not be read asks for privacy. Undefined where the dialplan says nothing.
 */
export function presentationOf(variable: string | undefined, number: string): Presentation | undefined {
  if (!variable) return undefined;
  const [word = '', ...rest] = variable.toLowerCase().split(' ');
  const isAnonymous = word.startsWith('prohib') || number.toLowerCase() === WITHHELD;
  if (isAnonymous || variable.length > READABLE_CHARS || asksPrivacy(rest)) return 'restricted';
  return word.startsWith('allowed') && number !== '' ? 'allowed' : 'unavailable';
}

function asksPrivacy(words: readonly string[]): boolean {
  const [privacy = '', second = '', privacies = '', party = '', otherParty = '', parties = ''] = words;
  const unread = [
    [privacies, privacy, second],
    [parties, party, otherParty],
  ].some(([count, ...read]) => Number(count) > read.filter((value) => value !== '').length);
  const isPrivate = `${privacy},${second}`.split(/[;,]/).some((value) => PRIVATE.has(value));
  return unread || isPrivate || `${party},${otherParty}`.split(',').some(isPrivateCaller);
}

/** Of a Remote-Party-ID (draft-ietf-sip-privacy-04 section 5.1): whether it is the caller's, and says that the number is not to be shown. */
function isPrivateCaller(party: string): boolean {
  return !/;party=(?!calling)/.test(party) && /;privacy=(full|uri)/.test(party);
}
