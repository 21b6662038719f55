/** SIP messages as text, for a telephone that says what a test wants said, right or wrong. Pure. */
import type { SipMessage } from './messages.ts';

/** A request; what is left out is what a plain telephone says. */
export interface SipRequest {
  method: string;
  /** The Request-URI. */
  uri: string;
  /** `UDP` or `TCP`, of Via. */
  transport: string;
  /** Host and port of Via. */
  via: string;
  branch: string;
  /** From, To and Contact with their brackets and tags. */
  from: string;
  to: string;
  contact: string;
  callId: string;
  sequence: number;
  /** More header lines, or other ones in the place of those above (`Contact: …`). */
  headers?: readonly string[];
  contentType?: string;
  body?: string;
}

/** A request with its Content-Length. */
export function requestText(request: SipRequest): string {
  const { method, uri, transport, via, branch, from, to, callId, sequence, contact } = request;
  const own = [
    `Via: SIP/2.0/${transport} ${via};branch=${branch};rport`,
    `From: ${from}`,
    `To: ${to}`,
    `Call-ID: ${callId}`,
    `CSeq: ${sequence} ${method}`,
    `Contact: ${contact}`,
    'Max-Forwards: 70',
    ...(request.body ? [`Content-Type: ${request.contentType ?? 'application/sdp'}`] : []),
  ];
  return messageText(`${method} ${uri} SIP/2.0`, own, request.headers ?? [], request.body ?? '');
}

/** A reply to a request, with a tag of ours in To where it has none. */
export function replyText(
  { headers }: SipMessage,
  statusLine: string,
  { tag, more = [], body = '' }: { tag: string; more?: readonly string[]; body?: string },
): string {
  const to = headers.to ?? '';
  const own = [
    `Via: ${headers.via}`,
    `From: ${headers.from}`,
    `To: ${/;tag=/.test(to) ? to : `${to};tag=${tag}`}`,
    `Call-ID: ${headers['call-id']}`,
    `CSeq: ${headers.cseq}`,
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
  ];
  return messageText(`SIP/2.0 ${statusLine}`, own, more, body);
}

/** A session description for this address, with these media lines. */
export function sdpText(address: string, media: readonly string[]): string {
  const session = ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0'];
  return [...session, ...media, ''].join('\r\n');
}

/** The lines of a plain offer of mu-law with keys. */
export function audioLines(port: number): string[] {
  return [
    `m=audio ${port} RTP/AVP 0 101`,
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    'a=ptime:20',
    'a=sendrecv',
  ];
}

/**
 * The first complete message of a stream, by its Content-Length, and the rest. Undefined if it is
 * not complete yet.
 */
export function takeMessage(bytes: Buffer): { text: string; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const length = /^(?:content-length|l)\s*:\s*(\d+)/im.exec(bytes.toString('latin1', 0, end))?.[1] ?? '0';
  const size = end + 4 + Number(length);
  if (bytes.length < size) return undefined;
  return { text: bytes.toString('utf8', 0, size), rest: bytes.subarray(size) };
}

/** Lines of `more` replace those of the same name. */
function messageText(
  startLine: string,
  own: readonly string[],
  more: readonly string[],
  body: string,
): string {
  const nameOf = (line: string) => line.slice(0, line.indexOf(':')).toLowerCase();
  const replaced = new Set(more.map(nameOf));
  const kept = own.filter((line) => !replaced.has(nameOf(line)));
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return [startLine, ...kept, ...more, length, '', body].join('\r\n');
}
