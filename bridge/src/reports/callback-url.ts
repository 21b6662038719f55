/** Where a status callback goes, and with which Authorization header (HTTP Basic, RFC 7617). */
export interface CallbackTarget {
  readonly url: string;
  readonly authorization: string | undefined;
}

const URL_MAX_CHARS = 2_048;
/** What URL parsers pass over without a word, or read as something else. */
const NOT_OF_A_URL = /[\p{Cc}\p{Cs}\s\\]/u;
/** An entry of CALLBACK_HOSTS: a name or address, or `*.` and a domain; perhaps with a port. */
const HOST_RULE = /^(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;

/** Reads CALLBACK_HOSTS: hosts, separated by commas; undefined where one is no host. */
export function parseHostRules(list: string): readonly string[] | undefined {
  const rules = list.split(',').map((rule) => rule.trim().toLowerCase());
  return rules.every((rule) => HOST_RULE.test(rule)) ? rules : undefined;
}

/**
 * Where a callback URL leads, or what is wrong with it. `hosts` are those that the operator allows; empty: every one but those that
 * only a machine's own cloud or network answers at (link-local, unspecified, multicast). Its user and password become a header.
 */
export function callbackTarget(
  text: string,
  hosts: readonly string[],
): CallbackTarget | { readonly problem: string } {
  if (text.length > URL_MAX_CHARS) return { problem: `must be at most ${URL_MAX_CHARS} characters` };
  if (!/^https?:\/\//i.test(text) || NOT_OF_A_URL.test(text) || !URL.canParse(text))
    return { problem: 'must be a URL starting with http:// or https://' };
  const url = new URL(text);
  if (hosts.length > 0 && !hosts.some((rule) => fits(url, rule)))
    return { problem: 'is of a host that CALLBACK_HOSTS does not allow' };
  if (hosts.length === 0 && isUnfit(url.hostname.replace(/^\[|\]$/g, '')))
    return { problem: 'is of an address that callbacks do not go to unless CALLBACK_HOSTS names it' };
  const { username, password } = url;
  url.username = '';
  url.password = '';
  url.hash = '';
  if (username === '' && password === '') return { url: url.href, authorization: undefined };
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    if (/\p{Cc}/u.test(credentials)) throw new URIError();
    return { url: url.href, authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
  } catch {
    return { problem: 'has a user or password that is not URL-encoded text' };
  }
}

/** Whether an address, as URL parsers and resolvers write it, is none that a receiver of callbacks has: RFC 6890. */
export function isUnfit(address: string): boolean {
  const v4 = /^(?:::ffff:)?(\d+)\.(\d+)\.\d+\.\d+$/i.exec(address);
  if (v4 !== null) return isUnfitV4(Number(v4[1]), Number(v4[2]));
  // An IPv4 address within an IPv6 one, as URL parsers write it.
  const mapped = /^::ffff:([0-9a-f]{1,4}):[0-9a-f]{1,4}$/i.exec(address)?.[1];
  if (mapped !== undefined)
    return isUnfitV4(Number.parseInt(mapped, 16) >> 8, Number.parseInt(mapped, 16) & 0xff);
  // Unspecified, link-local, multicast, and the address of a cloud's metadata.
  return address.includes(':') && /^(?:::$|fe[89ab][0-9a-f]:|ff[0-9a-f]{2}:|fd00:ec2::)/i.test(address);
}

/** This network, link-local, multicast and what is above it. */
function isUnfitV4(first: number, second: number): boolean {
  return first === 0 || (first === 169 && second === 254) || first >= 224;
}

function fits({ hostname, host, protocol, port }: URL, rule: string): boolean {
  const withPort = port === '' ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
  const name = /:\d+$/.test(rule) && !rule.endsWith(']') ? withPort : hostname;
  const plain = name.toLowerCase();
  return rule.startsWith('*.')
    ? plain.endsWith(rule.slice(1)) && plain.length >= rule.length
    : plain === rule;
}
