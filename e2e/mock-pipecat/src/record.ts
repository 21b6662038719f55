import { decode } from './format.ts';
import { Heard } from './heard.ts';
import { EVENTS, type Message, type MessageOf, messageSchema, type Start } from './messages.ts';

/** How the mock took the connection. */
export type State = 'opening' | 'refused' | 'open' | 'closed';

/** What a test can wait for. */
export const MILESTONES = [
  'requested',
  'opened',
  'started',
  'answered',
  'media',
  'sound',
  'dtmf',
  'mark',
  'clear',
  'error',
  'hangup',
  'closed',
] as const;
/** A moment in a call's life. */
export type Milestone = (typeof MILESTONES)[number];

/** The connection request. Header values are the client's own. */
export interface Request {
  readonly path: string;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string | string[] | undefined>;
}

interface Timed {
  readonly atMs: number;
}

const MAX_LISTED = 200;

/**
 * All that is known of one connection, and the verdict on it. Pure: all times, ms since the epoch,
 * are arguments.
 */
export class CallRecord {
  readonly callId: string;
  readonly mode: string;
  /** The how manieth connection of this call, from 1. */
  readonly attempt: number;
  readonly request: Request;
  readonly heard = new Heard();
  state: State = 'opening';
  start: Start | undefined;
  #requestedAtMs: number;
  #openedAtMs: number | undefined;
  #startedAtMs: number | undefined;
  #answeredAtMs: number | undefined;
  #events: (Timed & { event: string; status?: unknown; reason?: unknown })[] = [];
  #digits: (Timed & { digit: string; durationMs: number })[] = [];
  #marks: (Timed & { name: string; cleared: boolean })[] = [];
  #cleared: (Timed & { ms: number })[] = [];
  #speech: (Timed & { state: 'start' | 'stop' })[] = [];
  #errors: (Timed & { code: string | number; message: string })[] = [];
  #hangup: (Timed & Record<string, unknown>) | undefined;
  #pings = 0;
  #close: (Timed & { code: number; reason: string; by: 'bridge' | 'mock' }) | undefined;
  #closing = false;
  #violations: (Timed & { what: string })[] = [];
  #violationCount = 0;
  #sent = {
    messages: 0,
    bytes: 0,
    audioMs: 0,
    firstAtMs: undefined as number | undefined,
    lastAtMs: undefined as number | undefined,
    worstLateMs: 0,
  };
  #sentEvents: (Timed & Record<string, unknown>)[] = [];

  constructor(mode: string, attempt: number, request: Request, atMs: number) {
    this.callId = request.query.call_id ?? '';
    this.mode = mode;
    this.attempt = attempt;
    this.request = request;
    this.#requestedAtMs = atMs;
    if (this.callId === '') this.violation('the query has no call_id', atMs);
    if (request.headers['sec-websocket-extensions']) this.violation('the bridge offers compression', atMs);
  }

  /** Notes a breach of the wire format by the bridge. */
  violation(what: string, atMs: number): void {
    this.#violationCount++;
    list(this.#violations, { what, atMs });
  }

  /** The connection was accepted. */
  opened(atMs: number): void {
    this.state = 'open';
    this.#openedAtMs = atMs;
  }

  /** The bridge pinged. */
  pinged(): void {
    this.#pings++;
  }

  /** Reads a frame from the bridge. Undefined if it breaks the wire format or is unknown. */
  received(data: Buffer, isBinary: boolean, atMs: number): Message | undefined {
    if (isBinary) return this.#binary(data, atMs);
    let json: unknown;
    try {
      json = JSON.parse(data.toString());
    } catch {
      return this.#bad('a message that is no JSON', atMs);
    }
    return this.receivedJson(json, atMs);
  }

  /** The same, of a message that has been read. */
  receivedJson(json: unknown, atMs: number): Message | undefined {
    const event = typeof json === 'object' && json !== null && 'event' in json ? json.event : undefined;
    if (typeof event !== 'string') return this.#bad('a message without event', atMs);
    if (event !== 'media') list(this.#events, { ...told(json as Record<string, unknown>), event, atMs });
    if (this.#hangup) return this.#bad(`${event} after hangup`, atMs);
    if (!this.start && event !== 'start') return this.#bad(`${event} before start`, atMs);
    if (!EVENTS.has(event)) return undefined;
    const { data: message, error } = messageSchema.safeParse(json);
    if (!message) return this.#bad(`${event}: ${problems(error)}`, atMs);
    return this.#note(message, atMs) ? message : undefined;
  }

  /** Raw audio, where `start` says so; handed on like a media message. */
  #binary(data: Buffer, atMs: number): Message | undefined {
    if (this.start?.framing !== 'binary') return this.#bad('a binary frame', atMs);
    if (this.#hangup) return this.#bad('audio after hangup', atMs);
    const { encoding, sampleRate } = this.start;
    this.#hear(data, encoding, this.heard.audioMs, atMs);
    return {
      event: 'media',
      encoding,
      sampleRate,
      payload: data.toString('base64'),
      timestamp: this.heard.audioMs,
    };
  }

  #bad(what: string, atMs: number): undefined {
    this.violation(what, atMs);
    return undefined;
  }

  /** Writes the message down; false for one that should not have come now. */
  #note(message: Message, atMs: number): boolean {
    switch (message.event) {
      case 'start':
        return this.#onStart(message, atMs);
      case 'media':
        this.#onMedia(message, atMs);
        return true;
      case 'answered':
        if (this.#answeredAtMs !== undefined) this.violation('a second answered', atMs);
        this.#answeredAtMs ??= atMs;
        return true;
      case 'dtmf':
        list(this.#digits, { digit: message.digit, durationMs: message.durationMs, atMs });
        return true;
      case 'mark':
        this.#onMark(message, atMs);
        return true;
      case 'cleared':
        list(this.#cleared, { ms: message.ms, atMs });
        return true;
      case 'speech':
        list(this.#speech, { state: message.state, atMs });
        return true;
      case 'error':
        list(this.#errors, { code: message.code, message: message.message, atMs });
        return true;
      case 'hangup':
        this.#hangup = { ...message, atMs };
        return true;
    }
  }

  #onStart(start: Start, atMs: number): boolean {
    if (this.start) {
      this.violation('a second start', atMs);
      return false;
    }
    this.start = start;
    this.#startedAtMs = atMs;
    const query = this.request.query;
    const same = {
      call_id: start.call_id,
      encoding: start.encoding,
      sample_rate: start.sampleRate,
      tenant: start.tenant,
      direction: start.direction,
      sip_provider: start.sip_provider,
      from_number: start.from,
      to_number: start.to,
    };
    for (const [name, value] of Object.entries(same)) {
      if ((query[name] ?? '') !== String(value ?? ''))
        this.violation(`start and query differ in ${name}`, atMs);
    }
    if (start.callId !== start.call_id) this.violation('callId and call_id differ', atMs);
    return true;
  }

  #onMedia({ encoding, sampleRate, payload, timestamp }: MessageOf<'media'>, atMs: number): void {
    if (this.start?.framing === 'binary') this.violation('media as JSON in a call of binary framing', atMs);
    if (encoding !== this.start?.encoding || sampleRate !== this.start.sampleRate) {
      this.violation(`media in ${encoding}/${sampleRate}`, atMs);
    }
    this.#hear(Buffer.from(payload, 'base64'), encoding, timestamp, atMs);
  }

  #hear(bytes: Buffer, encoding: Start['encoding'], timestamp: number, atMs: number): void {
    const sampleRate = this.start?.sampleRate ?? 8000;
    const samples = decode(bytes, encoding);
    if (samples.length * 50 !== sampleRate) this.violation(`media of ${bytes.length} bytes, not 20 ms`, atMs);
    this.heard.push(samples, sampleRate, bytes.length, timestamp, atMs);
  }

  #onMark({ name, cleared = false }: MessageOf<'mark'>, atMs: number): void {
    const asked = this.#sentEvents.filter((sent) => sent.event === 'mark' && sent.name === name).length;
    const answered = this.#marks.filter((mark) => mark.name === name).length;
    if (answered >= asked) this.violation(`mark ${name} that was not asked for`, atMs);
    list(this.#marks, { name, cleared, atMs });
  }

  /** The mock sent a control message: anything but media. */
  sentControl(message: Record<string, unknown>, atMs: number): void {
    list(this.#sentEvents, { ...message, atMs });
  }

  /** The mock sent audio, so much later than its own pace wanted. */
  sentMedia(bytes: number, audioMs: number, atMs: number, lateMs: number): void {
    this.#sent.messages++;
    this.#sent.bytes += bytes;
    this.#sent.audioMs += audioMs;
    this.#sent.firstAtMs ??= atMs;
    this.#sent.lastAtMs = atMs;
    this.#sent.worstLateMs = Math.max(this.#sent.worstLateMs, lateMs);
  }

  /** The mock is about to close the connection. */
  closing(): void {
    this.#closing = true;
  }

  /** The connection is closed. 1006 stands for a socket that went without a close frame. */
  closed(code: number, reason: string, atMs: number): void {
    if (!this.#closing && this.state === 'open') {
      // The bot of a callee who does not answer is told nothing.
      const isTold = this.#events.some(({ event }) => event === 'start');
      if (code === 1000 && !this.#hangup && isTold) this.violation('closed with 1000 without hangup', atMs);
      if (code !== 1000 && this.#hangup) this.violation(`closed with ${code} after hangup`, atMs);
    }
    this.state = this.state === 'open' ? 'closed' : 'refused';
    this.#close = { code, reason, atMs, by: this.#closing ? 'mock' : 'bridge' };
  }

  /** The milestone is behind us. */
  reached(milestone: Milestone): boolean {
    const all: Record<Milestone, boolean> = {
      requested: true,
      opened: this.#openedAtMs !== undefined,
      started: this.start !== undefined,
      answered: this.#answeredAtMs !== undefined,
      media: this.heard.any,
      sound: this.heard.anySound,
      dtmf: this.#digits.length > 0,
      mark: this.#marks.length > 0,
      clear: this.#sentEvents.some(({ event }) => event === 'clear'),
      error: this.#errors.length > 0,
      hangup: this.#hangup !== undefined,
      closed: this.#close !== undefined,
    };
    return all[milestone];
  }

  /** Everything as JSON; the README explains the fields. */
  view() {
    return {
      callId: this.callId,
      mode: this.mode,
      attempt: this.attempt,
      state: this.state,
      ...this.request,
      requestedAtMs: this.#requestedAtMs,
      openedAtMs: this.#openedAtMs,
      startedAtMs: this.#startedAtMs,
      answeredAtMs: this.#answeredAtMs,
      start: this.start,
      media: this.heard.view(),
      digits: this.#digits.map(({ digit }) => digit).join(''),
      dtmf: this.#digits,
      marks: this.#marks,
      cleared: this.#cleared,
      speech: this.#speech,
      events: this.#events,
      errors: this.#errors,
      pings: this.#pings,
      hangup: this.#hangup,
      sent: { ...this.#sent, events: this.#sentEvents },
      close: this.#close,
      violationCount: this.#violationCount,
      violations: this.#violations,
    };
  }
}

function list<Item>(items: Item[], item: Item): void {
  if (items.length < MAX_LISTED) items.push(item);
}

function problems(error: { issues: { path: PropertyKey[]; message: string }[] }): string {
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}

/** Of an event: what became of something, and why. */
function told({ status, reason }: Record<string, unknown>): { status?: unknown; reason?: unknown } {
  return { ...(status === undefined ? {} : { status }), ...(reason === undefined ? {} : { reason }) };
}
