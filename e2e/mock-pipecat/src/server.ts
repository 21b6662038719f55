import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { Api } from './api.ts';
import { Bot, nowMs, type Reactions } from './bot.ts';
import { type Message, type Options, optionsSchema } from './messages.ts';
import { chooseMode, type Mode } from './modes.ts';
import { CallRecord } from './record.ts';
import { Store } from './store.ts';
import { TwilioWire, Unreadable } from './twilio.ts';
import type { Voice } from './voice.ts';

const MAX_CALLS = 1000;
/** At such a path the bot is one made for Twilio. */
const TWILIO_PATH = /\/twilio$/;
/** A request that is never answered is let go after this. */
const MAX_HOLD_MS = 600_000;
const MAX_MESSAGE_BYTES = 1_048_576;

/** The mock bot: WebSockets at any path, and the inspection API, on one port. */
export class MockServer {
  #voice: Voice;
  #log: (line: string) => void;
  #store = new Store();
  #bots = new Map<CallRecord, Bot>();
  #http: Server;
  #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  #held = new Set<Duplex>();

  /** `log` gets a line for every connection's begin and end; numbers are left out of it. */
  constructor(voice: Voice, log: (line: string) => void) {
    this.#voice = voice;
    this.#log = log;
    const api = new Api(this.#store, (record) => this.#bots.get(record));
    this.#http = createServer((request, response) => void api.handle(request, response));
    this.#http.on('upgrade', (request, socket, head) => void this.#onUpgrade(request, socket, head));
  }

  /** Listens; port 0 takes a free one. Returns the port. */
  async listen(address: string, port: number): Promise<number> {
    this.#http.listen(port, address);
    await once(this.#http, 'listening');
    return (this.#http.address() as AddressInfo).port;
  }

  /** Ends every call with 1001 and stops listening. */
  async close(): Promise<void> {
    for (const client of this.#webSockets.clients) client.close(1001);
    for (const socket of this.#held) socket.destroy();
    const closed = once(this.#http, 'close');
    this.#http.close();
    this.#http.closeAllConnections();
    const cutOff = setTimeout(() => {
      for (const client of this.#webSockets.clients) client.terminate();
    }, 1000);
    await closed;
    clearTimeout(cutOff);
  }

  async #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    const url = URL.parse(request.url ?? '/', 'ws://mock');
    if (!url) return answer(socket, '400 Bad Request');
    const query = Object.fromEntries(url.searchParams);
    const options = optionsSchema.safeParse(query);
    const mode = chooseMode(query.mode, query.to_number);
    if (!options.success || !mode) return answer(socket, '400 Bad Request');
    if (this.#webSockets.clients.size >= MAX_CALLS) return answer(socket, '503 Service Unavailable');

    const attempt = (this.#store.find(query.call_id ?? '')?.attempt ?? 0) + 1;
    const record = new CallRecord(
      mode.name,
      attempt,
      { path: url.pathname, query, headers: request.headers },
      nowMs(),
    );
    this.#store.add(record);
    this.#held.add(socket);
    socket.once('close', () => {
      this.#held.delete(socket);
      if (record.state === 'opening') this.#close(record, 1006, '');
    });
    const gate = mode.gate?.(attempt, options.data.after_ms) ?? { accept: true, afterMs: 0 };
    if (!gate.accept && gate.answer) return answer(socket, '503 Service Unavailable');
    await held(socket, gate.accept ? gate.afterMs : MAX_HOLD_MS);
    if (!gate.accept) socket.destroy();
    if (socket.destroyed) return;
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#onConnection(webSocket, record, mode, options.data);
    });
  }

  #onConnection(socket: WebSocket, record: CallRecord, mode: Mode, options: Options): void {
    record.opened(nowMs());
    this.#store.changed(record);
    this.#log(`call ${record.callId} connected, mode ${record.mode}, attempt ${record.attempt}`);
    let reactions: Reactions = {};
    const twilio = TWILIO_PATH.test(record.request.path) ? new TwilioWire() : undefined;
    socket.on('message', (data: Buffer, isBinary) => {
      const message = twilio
        ? this.#readTwilio(twilio, record, socket, data, isBinary)
        : record.received(data, isBinary, nowMs());
      if (message?.event === 'start') {
        const bot = new Bot(
          socket,
          message,
          record,
          options,
          this.#voice,
          (json) => twilio?.write(json) ?? json,
        );
        this.#bots.set(record, bot);
        reactions = mode.run(bot);
      } else if (message) {
        this.#bots.get(record)?.react(message, reactions);
      }
      this.#store.changed(record);
    });
    socket.on('ping', () => record.pinged());
    socket.on('error', (error) => record.violation(`the WebSocket failed: ${error.message}`, nowMs()));
    socket.on('close', (code, reason) => this.#close(record, code, reason.toString()));
  }

  /** A bot made for Twilio ends the call on what it cannot read. */
  #readTwilio(
    twilio: TwilioWire,
    record: CallRecord,
    socket: WebSocket,
    data: Buffer,
    isBinary: boolean,
  ): Message | undefined {
    try {
      const json = twilio.read(data, isBinary);
      return json && record.receivedJson(json, nowMs());
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      record.violation(error.message, nowMs());
      record.closing();
      socket.terminate();
      return undefined;
    }
  }

  #close(record: CallRecord, code: number, reason: string): void {
    record.closed(code, reason, nowMs());
    this.#bots.get(record)?.ended();
    this.#bots.delete(record);
    this.#store.changed(record);
    const { media, sent } = record.view();
    this.#log(
      `call ${record.callId} ${record.state} with ${code}, heard ${media.audioMs} ms, sent ${Math.round(sent.audioMs)} ms`,
    );
  }
}

function answer(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Resolves after `ms`, or when the client gives up: only who reads a socket learns of its end. */
async function held(socket: Duplex, ms: number): Promise<void> {
  if (ms === 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const giveUp = () => socket.destroy();
  socket.once('close', resolve).once('end', giveUp).resume();
  await promise;
  clearTimeout(timer);
  socket.removeListener('close', resolve).removeListener('end', giveUp);
}
