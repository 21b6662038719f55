import type { ServerResponse } from 'node:http';
import { type CallRecord, shownRecord } from '../records/record.ts';
import { MEBIBYTE } from '../units/units.ts';

/** Past events for listeners that reconnect. */
const PAST_MAX = 2_000;
const STREAMS_MAX = 32;
const PING_MS = 15_000;
/** Unread bytes per listener. A listener with more is disconnected. */
const UNREAD_MAX_BYTES = MEBIBYTE;

/** Sent if a reconnecting listener's last event is unknown: of another process, or too old. */
const GAP = JSON.stringify({ type: 'call.gap', reason: 'what happened since is not known: read GET /calls' });

/** An event that was sent. */
interface PastEvent {
  readonly number: number;
  readonly text: string;
}

/** A listener, and how many unread bytes it may have. The events it missed do not count. */
interface Listener {
  readonly response: ServerResponse;
  unreadMaxBytes: number;
}

/**
 * Server-sent events (WHATWG HTML section 9.2): every change of a call, to every listener. An
 * event's id is `PROCESS-NUMBER`. A listener that reconnects with `Last-Event-ID` gets the events
 * since then, or `call.gap` if they are no longer known.
 */
export class EventStream {
  readonly #process: string;
  readonly #listeners = new Set<Listener>();
  #past: PastEvent[] = [];
  #number = 0;
  #ping: NodeJS.Timeout | undefined;
  #dropped = 0;

  /** `process` makes event ids differ from those of a previous process. */
  constructor(process: string) {
    this.#process = process;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Listeners disconnected because they did not read. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether another listener is allowed. */
  get hasRoom(): boolean {
    return this.#listeners.size < STREAMS_MAX;
  }

  /** Sends `call.NAME` to every listener. */
  publish(name: string, call: CallRecord): void {
    this.#number += 1;
    const data = JSON.stringify({
      type: `call.${name}`,
      at: new Date().toISOString(),
      call: shownRecord(call),
    });
    const text = `id: ${this.#process}-${this.#number}\nevent: call.${name}\ndata: ${data}\n\n`;
    this.#past.push({ number: this.#number, text });
    if (this.#past.length >= PAST_MAX * 2) this.#past = this.#past.slice(-PAST_MAX);
    for (const listener of this.#listeners) this.#write(listener, text);
  }

  /** Streams to a response until its client disconnects. Starts after the event `lastId`. */
  serve(response: ServerResponse, lastId: string | undefined): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.write(': the changes of calls follow\n\n');
    if (lastId !== undefined) response.write(this.#since(lastId));
    const listener = { response, unreadMaxBytes: UNREAD_MAX_BYTES + response.writableLength };
    // The client has read all missed events: the usual limit applies.
    response.once('drain', () => {
      listener.unreadMaxBytes = UNREAD_MAX_BYTES;
    });
    this.#listeners.add(listener);
    this.#ping ??= setInterval(() => {
      for (const listener of this.#listeners) this.#write(listener, ': ping\n\n');
    }, PING_MS);
    response.on('close', () => this.#left(listener));
    response.on('error', () => {});
  }

  /** Ends every stream. */
  close(): void {
    for (const { response } of this.#listeners) response.end();
  }

  #since(lastId: string): string {
    const [process, number = ''] = lastId.split('-');
    const last = process === this.#process && /^\d+$/.test(number) ? Number(number) : Number.NaN;
    const first = this.#past[0]?.number ?? this.#number + 1;
    const isKnown = last + 1 >= first && last <= this.#number;
    if (!isKnown) return `event: call.gap\ndata: ${GAP}\n\n`;
    return this.#past
      .filter(({ number }) => number > last)
      .map(({ text }) => text)
      .join('');
  }

  #write(listener: Listener, text: string): void {
    const { response, unreadMaxBytes } = listener;
    if (response.writableLength > unreadMaxBytes) {
      this.#dropped += 1;
      this.#left(listener);
      response.destroy();
    } else {
      response.write(text);
    }
  }

  #left(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#ping);
    this.#ping = undefined;
  }
}
