import type { ServerResponse } from 'node:http';
import { type CallRecord, shownRecord } from '../records/record.ts';
import { MEBIBYTE } from '../units/units.ts';

/** Events that one who comes back can still be told of. */
const KEPT_MAX = 2_000;
const STREAMS_MAX = 32;
const PING_MS = 15_000;
/** Of events that a listener has not read; beyond it, it is dropped. */
const UNREAD_MAX_BYTES = MEBIBYTE;

/** What one is told whose last event is not known: of another process, or too long ago. */
const GAP = JSON.stringify({ type: 'call.gap', reason: 'what happened since is not known: read GET /calls' });

interface Kept {
  readonly number: number;
  readonly text: string;
}

/** One who listens, and how much it may leave unread: what it asked for when it came back does not count. */
interface Listener {
  readonly response: ServerResponse;
  unreadMaxBytes: number;
}

/**
 * Server-sent events (WHATWG HTML section 9.2): every change of a call to everybody who listens. An event's id is `PROCESS-NUMBER`:
 * whoever names the last one it had gets those since then, or `call.gap` where they are no longer known.
 */
export class EventStream {
  readonly #process: string;
  readonly #listeners = new Set<Listener>();
  #kept: Kept[] = [];
  #number = 0;
  #ping: NodeJS.Timeout | undefined;
  /** Listeners cut off since they did not read. */
  dropped = 0;

  /** `process` sets the ids of this process apart from those of the one before. */
  constructor(process: string) {
    this.#process = process;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Whether one more may listen. */
  get hasRoom(): boolean {
    return this.#listeners.size < STREAMS_MAX;
  }

  /** Tells everybody that `call.NAME` happened. */
  publish(name: string, call: CallRecord): void {
    this.#number += 1;
    const data = JSON.stringify({
      type: `call.${name}`,
      at: new Date().toISOString(),
      call: shownRecord(call),
    });
    const text = `id: ${this.#process}-${this.#number}\nevent: call.${name}\ndata: ${data}\n\n`;
    this.#kept.push({ number: this.#number, text });
    if (this.#kept.length >= KEPT_MAX * 2) this.#kept = this.#kept.slice(-KEPT_MAX);
    for (const listener of this.#listeners) this.#write(listener, text);
  }

  /** Streams to a response until its other side leaves, beginning behind the event `lastId`. */
  serve(response: ServerResponse, lastId: string | undefined): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.write(': the changes of calls follow\n\n');
    if (lastId !== undefined) response.write(this.#since(lastId));
    const listener = { response, unreadMaxBytes: UNREAD_MAX_BYTES + response.writableLength };
    // It has read all that it had missed.
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
    const first = this.#kept[0]?.number ?? this.#number + 1;
    const isKnown = last + 1 >= first && last <= this.#number;
    if (!isKnown) return `event: call.gap\ndata: ${GAP}\n\n`;
    return this.#kept
      .filter(({ number: kept }) => kept > last)
      .map(({ text }) => text)
      .join('');
  }

  #write(listener: Listener, text: string): void {
    const { response, unreadMaxBytes } = listener;
    if (response.writableLength > unreadMaxBytes) {
      this.dropped += 1;
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
