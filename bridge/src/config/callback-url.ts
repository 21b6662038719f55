/** The URL of a status callback, and its Authorization header (HTTP Basic, RFC 7617). */
export interface CallbackTarget {
  readonly url: string;
  readonly authorization: string | undefined;
}

/** Longest URL that is taken, and that a record holds, characters. */
export const URL_MAX_CHARS = 2_048;
/** Characters that URL parsers silently drop, or read as others. */
const NOT_OF_A_URL = /[\p{Cc}\p{Cs}\s\\]/u;
/** An entry of CALLBACK_HOSTS: a host name, an address, or `*.` and a domain. A port may follow. */
const HOST_RULE = /^(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;

/** Parses CALLBACK_HOSTS: hosts, separated by commas. Undefined if an entry is not a host. */
export function parseHostRules(list: string): readonly string[] | undefined {
  const rules = list.split(',').map((rule) => rule.trim().toLowerCase());
  return rules.every((rule) => HOST_RULE.test(rule)) ? rules : undefined;
}

/**
 * Checks a callback URL. Returns its target, or what is wrong with it. `hosts` are those that the
 * operator allows. If it is empty, every host is allowed except link-local, unspecified, multicast
 * and cloud metadata addresses. User and password of the URL become an Authorization header.
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

/**
 * Whether an address cannot be a callback receiver: link-local, unspecified or multicast
 * (RFC 6890), or the metadata service of a cloud. The address is in the form that URL parsers and
 * resolvers write. An IPv4 address inside an IPv6 one is checked as IPv4.
 */
export function isUnfit(address: string): boolean {
  const v4 = /^\d+\.\d+\.\d+\.\d+$/.test(address) ? address.split('.').map(Number) : undefined;
  if (v4 !== undefined) return isUnfitV4(v4);
  const groups = address.includes(':') ? groupsOf(address) : undefined;
  if (groups === undefined) return false;
  const [first = 0, second = 0, third = 0] = groups;
  if (groups.join() === LOOPBACK) return false;
  const isCloud = (first === 0xfd00 && second === 0x0ec2) || (first === 0xfd20 && second === 0x00ce);
  const isLinkLocal = first >= 0xfe80 && first <= 0xfebf;
  if (isCloud || isLinkLocal || first >= 0xff00) return true;
  const before = groups.slice(0, 6).join();
  if (EMBEDDING.includes(before)) return isUnfitV4(bytesOf(groups.slice(6)));
  return first === SIX_TO_FOUR && isUnfitV4(bytesOf([second, third]));
}

/** The address ::1, as groups. */
const LOOPBACK = '0,0,0,0,0,0,0,1';
/**
 * Groups before an embedded IPv4 address: IPv4-mapped, IPv4-translated (RFC 2765), IPv4-compatible
 * (RFC 4291 section 2.5.5), NAT64 (RFC 6052).
 */
const EMBEDDING: readonly string[] = [
  '0,0,0,0,0,65535',
  '0,0,0,0,65535,0',
  '0,0,0,0,0,0',
  '100,65435,0,0,0,0',
];
/** First group of a 6to4 address (RFC 3056): the next two groups hold the IPv4 address. */
const SIX_TO_FOUR = 0x2002;
/** Metadata services of Alibaba, Azure and Oracle. Other clouds use a link-local address. */
const CLOUDS: readonly string[] = ['100.100.100.200', '168.63.129.16', '192.0.0.192'];

/** "This network", link-local, multicast and all above it, metadata services of clouds. */
function isUnfitV4(bytes: readonly number[]): boolean {
  const [first = 0, second = 0] = bytes;
  return first === 0 || (first === 169 && second === 254) || first >= 224 || CLOUDS.includes(bytes.join('.'));
}

/**
 * The eight groups of an IPv6 address (RFC 4291 section 2.2), without its zone. Undefined if it is
 * not an IPv6 address.
 */
function groupsOf(address: string): readonly number[] | undefined {
  const text = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = [], tail] = text.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = tail === undefined ? 0 : 8 - head.length - tail.length;
  if (zeros < 0) return undefined;
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...(tail ?? [])];
  const isWhole = groups.length === 8 && groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group));
  return isWhole ? groups.map((group) => Number.parseInt(group, 16)) : undefined;
}

function bytesOf(groups: readonly number[]): readonly number[] {
  return groups.flatMap((group) => [group >> 8, group & 0xff]);
}

function fits({ hostname, host, protocol, port }: URL, rule: string): boolean {
  const withPort = port === '' ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
  const name = /:\d+$/.test(rule) && !rule.endsWith(']') ? withPort : hostname;
  const plain = name.toLowerCase();
  return rule.startsWith('*.')
    ? plain.endsWith(rule.slice(1)) && plain.length >= rule.length
    : plain === rule;
}
