/** Longest Retry-After that is accepted, ms. */
const MAX_MS = 3_600_000;
/** IMF-fixdate, the format that a server must send (RFC 9110 section 5.6.7). */
const DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Parses a Retry-After header (RFC 9110 section 10.2.3). Returns ms, at most an hour; 0 if it is
 * absent or invalid.
 */
export function retryAfterMs(header: string | readonly string[] | undefined, nowUnixMs: number): number {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim() ?? '';
  if (/^\d{1,15}$/.test(text)) return Math.min(MAX_MS, Number(text) * 1000);
  const at = DATE.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.min(MAX_MS, Math.max(0, at - nowUnixMs));
}
