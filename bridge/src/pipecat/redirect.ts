/** Limit of redirects: for example to add a slash, to TLS, to another host. */
export const REDIRECTS_MAX = 3;
const LOCATION_MAX_CHARS = 4_096;
/**
 * Redirect statuses (RFC 9110 section 15.4). 303 is for another method, which a WebSocket has not.
 */
const STATUSES: readonly (number | undefined)[] = [301, 302, 307, 308];
const SCHEMES: Readonly<Record<string, string>> = {
  'ws:': 'ws:',
  'wss:': 'wss:',
  'http:': 'ws:',
  'https:': 'wss:',
};

/** Target of a redirect. */
export interface Redirect {
  readonly url: URL;
  /** Whether the target has the same origin, so that credentials may be sent to it. */
  readonly isSameOrigin: boolean;
}

/**
 * Parses the response to the handshake to `from`. Undefined if it is not a redirect, or one that is
 * not followed: to a URL that is not a WebSocket, or from TLS to plain text. Credentials in the
 * location are ignored. Those of `from` are kept within its origin.
 */
export function redirectOf(
  from: URL,
  status: number | undefined,
  location: string | undefined,
): Redirect | undefined {
  if (!STATUSES.includes(status) || !location || location.length > LOCATION_MAX_CHARS) return undefined;
  if (!URL.canParse(location, from.href)) return undefined;
  const target = new URL(location, from.href);
  const scheme = SCHEMES[target.protocol];
  if (scheme === undefined || (from.protocol === 'wss:' && scheme === 'ws:')) return undefined;
  const url = new URL(`${scheme}//${target.host}${target.pathname}${target.search}`);
  const isSameOrigin = url.origin === from.origin;
  if (isSameOrigin) {
    url.username = from.username;
    url.password = from.password;
  }
  return { url, isSameOrigin };
}
