/** A server's redirects are followed so often: a proxy's slash, its TLS, its other host. */
export const REDIRECTS_MAX = 3;
const LOCATION_MAX_CHARS = 4_096;
/** Statuses that say where else something is (RFC 9110 section 15.4); 303 answers another method, which a WebSocket has not. */
const STATUSES: readonly (number | undefined)[] = [301, 302, 307, 308];
const SCHEMES: Readonly<Record<string, string>> = {
  'ws:': 'ws:',
  'wss:': 'wss:',
  'http:': 'ws:',
  'https:': 'wss:',
};

/** Where a bot's server sends us on to. */
export interface Redirect {
  readonly url: URL;
  /** Who is there may be given the credentials of who was here. */
  readonly isSameOrigin: boolean;
}

/**
 * Reads an answer to the handshake to `from`. Undefined where it is no redirect, or one that is not followed: to what is no WebSocket, or from
 * an encrypted one to a plain one. Credentials in the location count for nothing; those of `from` go along within its origin.
 */
export function redirectOf(
  from: URL,
  status: number | undefined,
  location: string | undefined,
): Redirect | undefined {
  if (!STATUSES.includes(status) || !location || location.length > LOCATION_MAX_CHARS) return undefined;
  if (!URL.canParse(location, from.href)) return undefined;
  const there = new URL(location, from.href);
  const scheme = SCHEMES[there.protocol];
  if (scheme === undefined || (from.protocol === 'wss:' && scheme === 'ws:')) return undefined;
  const url = new URL(`${scheme}//${there.host}${there.pathname}${there.search}`);
  const isSameOrigin = url.origin === from.origin;
  if (isSameOrigin) {
    url.username = from.username;
    url.password = from.password;
  }
  return { url, isSameOrigin };
}
