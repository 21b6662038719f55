import type { ServerResponse } from 'node:http';
import { type CallRecord, shownRecord } from '../records/record.ts';
import { MEBIBYTE } from '../units/units.ts';
import {
  EventHistory,
  hadBefore,
  type LastEvent,
  type PastEvent,
  parseEventId,
  type SharedEvent,
} from './event-history.ts';

const STREAMS_MAX = 32;
const PING_MS = 15_000;
/** Unread bytes per listener. A listener with more is disconnected. */
const UNREAD_MAX_BYTES = MEBIBYTE;

/** Sent if a reconnecting listener's last event is unknown: of another process, or too old. */
const GAP = JSON.stringify({ type: 'call.gap', reason: 'what happened since is not known: read GET /calls' });

/** Tells a listener to connect again, to a successor, 500 ms after the stream has ended. */
export const CONNECT_AGAIN = 'retry: 500\n';

/** A listener, and how many unread bytes it may have. The events it missed do not count. */
interface Listener {
  readonly response: ServerResponse;
  unreadMaxBytes: number;
  /** The last event that it had from a predecessor. That one may come to us later. */
  readonly last: LastEvent | undefined;
}

/**
 * Server-sent events (WHATWG HTML section 9.2): every change of a call, to every listener. An
 * event's id is `PROCESS-NUMBER`. A listener that reconnects with `Last-Event-ID` gets the events
 * since then, or `call.gap` if they are no longer known. The events of processes that handed over
 * to this one are in the stream too.
 */
export class EventStream {
  readonly #history: EventHistory;
  readonly #listeners = new Set<Listener>();
  #onEvent: (event: SharedEvent) => void = () => {};
  #ping: NodeJS.Timeout | undefined;
  #dropped = 0;

  /** `process` makes event ids differ from those of a previous process. */
  constructor(process: string) {
    this.#history = new EventHistory(process);
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
    const type = `call.${name}`;
    const data = JSON.stringify({ type, at: new Date().toISOString(), call: shownRecord(call) });
    this.#send(this.#history.add(type, data));
  }

  /** Id of the stream of this process. */
  get process(): string {
    return this.#history.process;
  }

  /** The past events, oldest first, for a successor. */
  get shared(): readonly SharedEvent[] {
    return this.#history.shared;
  }

  /** `onEvent` gets each event from now on, for a successor. */
  follow(onEvent: (event: SharedEvent) => void): void {
    this.#onEvent = onEvent;
  }

  /** A predecessor has a stream of this id. */
  meet(process: string): void {
    this.#history.meet(process);
  }

  /** Sends an event of a predecessor, unless it was sent before. */
  republish(event: SharedEvent): void {
    const added = this.#history.addShared(event);
    if (added !== undefined) this.#send(added);
  }

  /** A successor answers from now on: listeners connect to it, and tell what they had. */
  leave(): void {
    const last = `${CONNECT_AGAIN}id: ${this.#history.lastId}\n\n`;
    for (const listener of this.#listeners) {
      this.#left(listener);
      listener.response.end(last);
    }
  }

  /** Streams to a response until its client disconnects. Starts after the event `lastId`. */
  serve(response: ServerResponse, lastId: string | undefined): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.write(': the changes of calls follow\n\n');
    const last = lastId === undefined ? undefined : parseEventId(lastId);
    if (lastId !== undefined) response.write(this.#since(last));
    const listener = { response, last, unreadMaxBytes: UNREAD_MAX_BYTES + response.writableLength };
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

  #since(last: LastEvent | undefined): string {
    const missed = this.#history.since(last);
    if (missed === undefined) return `event: call.gap\ndata: ${GAP}\n\n`;
    return missed.map((event) => this.#text(event)).join('');
  }

  #text({ number, name, data }: PastEvent): string {
    return `id: ${this.#history.process}-${number}\nevent: ${name}\ndata: ${data}\n\n`;
  }

  #send(event: PastEvent): void {
    const text = this.#text(event);
    for (const listener of this.#listeners) if (!hadBefore(listener.last, event)) this.#write(listener, text);
    this.#onEvent(this.#history.share(event));
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
