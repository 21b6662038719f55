import { randomFillSync } from 'node:crypto';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { type ClientOptions, WebSocket } from 'ws';
import type { Draft } from './draft.ts';
import { FrameReader, FrameWriter } from './frame.ts';
import { writeNow } from './write-now.ts';

/** Gets a message of the bot, `bytes[start..end)`, text or raw bytes: valid during the call only. */
export type OnMessage = (bytes: Buffer, start: number, end: number, isText: boolean) => void;

const READ_BYTES = 65_536;
/** A frame of 20 ms in JSON is 300 to 1400 bytes. */
const PAYLOAD_MAX_BYTES = 4_096;
const MASKS = 1_024;

// All streams of a thread share these: each is done with them when its turn ends.
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
const masks = new Int32Array(MASKS);
let masksLeft = 0;
let writer = new FrameWriter(PAYLOAD_MAX_BYTES);

/**
 * The short way past `ws`, for the many messages that are all alike: unencrypted, whole, in one frame. All else (handshake, pings,
 * fragments, long messages, the end) is left to `ws`, which reads and writes the same stream as if it were alone.
 */
export class BotStream {
  #stream: Socket | undefined;
  #socket: WebSocket | undefined;
  #onMessage: OnMessage | undefined;
  readonly #frames = new FrameReader();

  /** What `ws` must be given to use this stream. */
  readonly options: ClientOptions = {
    createConnection: ((options: NetConnectOpts) => this.#connect(options)) as typeof connect,
    finishRequest: (request) => {
      // What came right behind the handshake is on its way to `ws` already.
      request.on('upgrade', (_response, _socket, head) => this.#passOver(head));
      request.end();
    },
  };

  /** To be called in the turn in which the handshake is done. */
  open(socket: WebSocket, onMessage: OnMessage): void {
    this.#socket = socket;
    this.#onMessage = onMessage;
  }

  /** Sends a message. False: it is too long for this way. */
  send(message: Draft): boolean {
    const stream = this.#stream as Socket;
    const frame = writer.write(message, nextMask());
    if (frame === undefined) return false;
    const taken = writeNow(stream, frame);
    if (taken === frame.length) return true;
    stream.write(frame.subarray(taken));
    // The buffer stays with the stream.
    writer = new FrameWriter(PAYLOAD_MAX_BYTES);
    return true;
  }

  #connect(options: NetConnectOpts): Socket {
    const onread = { buffer: readBuffer, callback: (bytes: number) => this.#read(bytes) };
    this.#stream = connect({ ...options, onread });
    return this.#stream;
  }

  #passOver(head: Buffer): void {
    for (let at = 0; at < head.length; at = this.#frames.end) this.#frames.next(head, at, head.length);
  }

  /** False: the stream is full, and read again when `ws` has taken what it holds. */
  #read(bytes: number): boolean {
    const stream = this.#stream as Socket;
    const frames = this.#frames;
    let goOn = true;
    for (let at = 0; at < bytes; at = frames.end) {
      if (this.#socket?.readyState !== WebSocket.OPEN)
        return stream.push(Buffer.from(readBuffer.subarray(at, bytes)));
      const isWhole = frames.next(readBuffer, at, bytes);
      // What `ws` has not read yet must not be overtaken.
      if (isWhole && stream.readableLength === 0)
        this.#onMessage?.(readBuffer, frames.start, frames.end, frames.isText);
      else goOn = stream.push(Buffer.from(readBuffer.subarray(at, frames.end)));
    }
    return goOn;
  }
}

function nextMask(): number {
  if (masksLeft === 0) {
    randomFillSync(masks);
    masksLeft = MASKS;
  }
  masksLeft -= 1;
  return masks[masksLeft] as number;
}
