/** Reads SIPp's message log (`-trace_msg`), and what became of each call in it. Pure. */

/** One SIP message that SIPp sent or received. */
export interface SipMessage {
  /** Milliseconds since 1970, with a microsecond fraction. */
  timeMs: number;
  sent: boolean;
  /** Request method, or undefined for a response. */
  method?: string;
  /** Response status, or undefined for a request. */
  status?: number;
  /** The start line. */
  startLine: string;
  /** Headers by lower-case name; the first of a kind only. */
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** One call as SIP tells it. Times in ms after the INVITE unless the name says otherwise. */
export interface SipCall {
  sipCallId: string;
  /** The X-Call-ID header of the INVITE. */
  callId?: string;
  /** The INVITE's request URI. */
  to: string;
  from: string;
  inviteAtMs: number;
  /** Statuses of the INVITE's responses in order, provisional ones included. */
  statuses: number[];
  /** Final status of the INVITE; undefined when there was none. */
  status?: number;
  ringingMs?: number;
  inviteToAnswerMs?: number;
  /** Answer on the capture's clock (ms since 1970). */
  answeredAtMs?: number;
  /** Who sent the BYE (or CANCEL): this end or the far one. */
  endedBy?: 'us' | 'them';
  /** The BYE in ms after the answer. */
  byeAfterAnswerMs?: number;
  /** The final response to a REFER that we sent. */
  referStatus?: number;
  /** Our own media port, from the SDP that we sent. */
  mediaPort?: number;
  headers: Readonly<Record<string, string>>;
}

const ENTRY = /^-{20,}\s+(\d{4}-\d{2}-\d{2})[\sT]([\d:]+\.\d+).*\n\S+ message (sent|received)[^\n]*:\n\n/gm;

/** All messages of a log, in order. The log's clock is taken as UTC. */
export function parseMessages(log: string): SipMessage[] {
  const entries = [...log.matchAll(ENTRY)];
  return entries.map((entry, at) => {
    const [head = '', date, time, direction] = entry;
    const text = log.slice((entry.index ?? 0) + head.length, entries[at + 1]?.index);
    return parseMessage(text, utcMs(`${date}`, `${time}`), direction === 'sent');
  });
}

/** The calls of a log: one for each INVITE that opens a dialogue, in order. */
export function readCalls(messages: readonly SipMessage[]): SipCall[] {
  const calls = new Map<string, SipCall>();
  for (const message of messages) {
    const sipCallId = message.headers['call-id'] ?? '';
    const call = calls.get(sipCallId);
    if (call) follow(call, message);
    else if (message.method === 'INVITE') calls.set(sipCallId, openCall(sipCallId, message));
  }
  return [...calls.values()];
}

/** One message; lines may end in CR. */
export function parseMessage(raw: string, timeMs: number, sent: boolean): SipMessage {
  const text = raw.replaceAll('\r', '');
  const [top = '', ...rest] = text.split('\n\n');
  const [startLine = '', ...lines] = top.split('\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    headers[name] ??= line.slice(colon + 1).trim();
  }
  const status = /^SIP\/2\.0 (\d{3})/.exec(startLine)?.[1];
  return {
    timeMs,
    sent,
    startLine,
    headers,
    body: rest.join('\n\n'),
    ...(status ? { status: Number(status) } : { method: startLine.split(' ')[0] ?? '' }),
  };
}

function openCall(sipCallId: string, invite: SipMessage): SipCall {
  const callId = invite.headers['x-call-id'];
  return {
    sipCallId,
    ...(callId === undefined ? {} : { callId }),
    to: invite.startLine.split(' ')[1] ?? '',
    from: invite.headers.from ?? '',
    inviteAtMs: invite.timeMs,
    statuses: [],
    headers: invite.headers,
    ...mediaPort(invite),
  };
}

function follow(call: SipCall, message: SipMessage): void {
  const method = message.method ?? message.headers.cseq?.split(' ')[1];
  if (message.status === undefined) {
    if (method !== 'BYE' && method !== 'CANCEL') return;
    call.endedBy ??= message.sent ? 'us' : 'them';
    if (call.answeredAtMs !== undefined) call.byeAfterAnswerMs ??= ms(message.timeMs - call.answeredAtMs);
  } else if (method === 'INVITE') followInvite(call, message, message.status);
  else if (method === 'REFER' && message.status >= 200) call.referStatus ??= message.status;
}

function followInvite(call: SipCall, message: SipMessage, status: number): void {
  call.statuses.push(status);
  const sinceInviteMs = ms(message.timeMs - call.inviteAtMs);
  if (status === 180 || status === 183) call.ringingMs ??= sinceInviteMs;
  if (status < 200 || call.status !== undefined) return;
  call.status = status;
  if (status >= 300) return;
  call.inviteToAnswerMs = sinceInviteMs;
  call.answeredAtMs = message.timeMs;
  Object.assign(call, mediaPort(message));
}

function mediaPort(message: SipMessage): { mediaPort?: number } {
  const port = message.sent ? /^m=audio (\d+)/m.exec(message.body)?.[1] : undefined;
  return port === undefined ? {} : { mediaPort: Number(port) };
}

function utcMs(date: string, time: string): number {
  const [seconds = '', fraction = '0'] = time.split('.');
  return Date.parse(`${date}T${seconds}Z`) + Number(`0.${fraction}`) * 1000;
}

function ms(value: number): number {
  return Math.round(value * 10) / 10;
}
