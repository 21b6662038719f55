import { once } from 'node:events';
import { WebSocket } from 'ws';
import { decode, type Encoding, encode } from '../src/format.ts';
import { tone } from '../src/tones.ts';
import { mockPort, mockUrl } from './mock.ts';

let calls = 0;

/** A JSON object. */
export type Json = Record<string, unknown>;

/** The bridge's end of a call (docs/BOTS.md). */
export class FakeBridge {
  readonly callId: string;
  readonly encoding: Encoding;
  readonly rate: number;
  readonly socket: WebSocket;
  readonly got: (Json & { event?: string; payload?: string; atMs: number })[] = [];
  #sentMs = 0;

  constructor(query: Record<string, string>, encoding: Encoding = 'pcmu', rate = 8000) {
    this.callId = query.call_id ?? `call-${++calls}`;
    this.encoding = encoding;
    this.rate = rate;
    const parameters = new URLSearchParams({
      call_id: this.callId,
      encoding,
      sample_rate: String(rate),
      direction: 'inbound',
      from_number: '+491511',
      ...query,
    });
    this.socket = new WebSocket(`ws://127.0.0.1:${mockPort()}/ws/asterisk?${parameters}`, {
      perMessageDeflate: false,
    });
    this.socket.on('message', (data, isBinary) => {
      let message: Json = { binary: isBinary };
      try {
        message = JSON.parse(data.toString());
      } catch {}
      this.got.push({ ...message, atMs: performance.now() });
    });
  }

  async open(changes: Json = {}): Promise<this> {
    await once(this.socket, 'open');
    const to = new URL(this.socket.url).searchParams.get('to_number');
    const ids = {
      callId: this.callId,
      call_id: this.callId,
      streamId: 's',
      channel_id: 'c',
      sip_call_id: 'x',
    };
    const maps = { variables: {}, app_args: [], custom_vars: {}, headers: {} };
    const format = { encoding: this.encoding, sampleRate: this.rate };
    this.send({
      event: 'start',
      ...ids,
      ...format,
      direction: 'inbound',
      from: '+491511',
      to,
      ...maps,
      ...changes,
    });
    return this;
  }

  send(message: Json): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Sends `ms` of a tone (0 Hz: silence) as 20 ms messages, all at once. */
  media(hz: number, ms: number): void {
    const format = { encoding: this.encoding, sampleRate: this.rate };
    const samples = tone(hz, ms, this.rate);
    for (let at = 0; at < samples.length; at += this.rate / 50, this.#sentMs += 20) {
      const payload = encode(samples.subarray(at, at + this.rate / 50), this.encoding).toString('base64');
      this.send({ event: 'media', ...format, payload, timestamp: this.#sentMs });
    }
  }

  /** Waits until `enough` is true of what came. */
  async until(enough: (got: FakeBridge['got']) => boolean): Promise<FakeBridge['got']> {
    while (!enough(this.got)) await once(this.socket, 'message', { signal: AbortSignal.timeout(10_000) });
    return this.got;
  }

  /** Audio that has come, joined. */
  audio(from = 0): Int16Array {
    const payloads = this.got.slice(from).filter(({ event }) => event === 'media');
    return decode(
      Buffer.concat(payloads.map(({ payload }) => Buffer.from(payload ?? '', 'base64'))),
      this.encoding,
    );
  }

  async hangUp(): Promise<void> {
    this.send({ event: 'hangup', reason: 'caller', cause: 16, causeText: 'Normal Clearing' });
    this.socket.close(1000);
    await once(this.socket, 'close');
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests pick into JSON
  async view(query = ''): Promise<any> {
    return (await fetch(mockUrl(`/calls/${this.callId}${query}`))).json();
  }
}
