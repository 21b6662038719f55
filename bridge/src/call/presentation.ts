/** Caller id presentation, from what the dialplan read of the INVITE. Pure. */
import type { Presentation } from '../pipecat/dialect.ts';

/** Replaces a withheld number (RFC 3323 section 4.1.1.3). */
export const WITHHELD = 'anonymous';

/**
 * Values of the Privacy header that ask to hide the caller (RFC 3323 section 4.2, RFC 3325 section
 * 9.3).
 */
const PRIVATE = new Set(['id', 'user', 'header', 'history', 'session']);

/** Longest variable that is read. Two entries of each header are much shorter. */
const READABLE_CHARS = 1_000;

/**
 * Parses the variable INBOUND_PRESENTATION: words, separated by blanks. The first word is
 * Asterisk's presentation (`allowed_…`, `prohib_…`, `unavailable`). Then come the values of two
 * Privacy headers and the number of these headers. Then the same for Remote-Party-ID. What cannot
 * be read counts as a request for privacy. Undefined without the variable.
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

/**
 * Whether a Remote-Party-ID (draft-ietf-sip-privacy-04 section 5.1) is the caller's and asks to
 * hide the number.
 */
function isPrivateCaller(party: string): boolean {
  return !/;party=(?!calling)/.test(party) && /;privacy=(full|uri)/.test(party);
}
