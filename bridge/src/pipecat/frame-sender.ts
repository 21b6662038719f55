import { randomFillSync } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Draft } from './draft.ts';
import { FrameWriter } from './frame.ts';
import { addressOf, descriptorOf, writeNow } from './write-now.ts';

/** A frame of 20 ms in JSON has 300 to 1400 bytes. */
const PAYLOAD_MAX_BYTES = 4_096;
const MASKS = 1_024;

// Shared by all senders of a thread: each uses them only within its turn of the event loop.
const masks = new Int32Array(MASKS);
let masksLeft = 0;
let writer = new FrameWriter(PAYLOAD_MAX_BYTES);
let writerAt = addressOf(writer.memory);

/** Sends messages to a bot as frames, without `ws` and past Node's stream. Not for TLS. */
export class FrameSender {
  readonly #stream: Socket;
  readonly #fd: number;
  readonly #sendBufferBytes: number;

  /** `sendBufferBytes`: bytes that may wait to be sent before media is held back. */
  constructor(stream: Socket, sendBufferBytes: number) {
    this.#stream = stream;
    this.#fd = descriptorOf(stream);
    this.#sendBufferBytes = sendBufferBytes;
  }

  /** Sends a message. False: send it through `ws`, because it is too long or too much is queued. */
  send(message: Draft): boolean {
    const stream = this.#stream;
    const frame = writer.write(message, nextMask());
    if (frame === undefined) return false;
    const taken = writeNow(stream, this.#fd, writerAt + frame.byteOffset, frame.length);
    if (taken === frame.length) return true;
    if (taken === 0 && stream.writableLength > this.#sendBufferBytes) return false;
    stream.write(frame.subarray(taken));
    // The buffer now belongs to the stream.
    writer = new FrameWriter(PAYLOAD_MAX_BYTES);
    writerAt = addressOf(writer.memory);
    return true;
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
