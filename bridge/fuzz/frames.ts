import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FrameReader } from '../src/pipecat/frame.ts';
import { Base64Slices } from '../src/pipecat/long-media.ts';
import type { FuzzTarget } from './target.ts';

/** A frame of a server, with any first byte, masked or not, its length written in any of the three ways (RFC 6455 section 5.2). */
const frame = fc
  .record({
    first: fc.oneof(fc.constantFrom(0x81, 0x82, 0x01, 0x80, 0x89, 0xc1), fc.integer({ min: 0, max: 255 })),
    mask: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined }),
    payload: fc.uint8Array({ maxLength: 300 }),
    form: fc.constantFrom(125, 126, 127),
  })
  .map(({ first, mask, payload, form }) => {
    const { length } = payload;
    const size = length < 126 && form === 125 ? [length] : form === 127 ? [127] : [126];
    const long = Buffer.alloc(form === 127 ? 8 : size[0] === 126 ? 2 : 0);
    if (long.length > 0) long.writeUIntBE(length, long.length - 2, 2);
    const second = (size[0] as number) | (mask === undefined ? 0 : 0x80);
    return Buffer.concat([Buffer.of(first, second), long, mask ?? Buffer.alloc(0), payload]);
  });
const stream = fc.oneof(
  fc.array(frame, { minLength: 1, maxLength: 6 }).map((frames) => Buffer.concat(frames)),
  fc.uint8Array({ minLength: 1, maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
);

/** What a reader makes of chunks: plain messages, and the bytes of all else. */
function read(chunks: readonly Buffer[]): { messages: string[]; others: string } {
  const reader = new FrameReader();
  const messages: string[] = [];
  const others: Buffer[] = [];
  let message: Buffer[] | undefined;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at = reader.end) {
      const found = reader.next(chunk, at, chunk.length);
      assert.ok(reader.end > at && reader.end <= chunk.length, 'it moves on, and within the chunk');
      const piece = chunk.subarray(reader.start, reader.end);
      if (found === 'message') messages.push(piece.toString('hex'));
      if (found === 'frame') message = reader.isPlain ? [] : undefined;
      if (found === 'frame' && message === undefined) others.push(Buffer.from(reader.head));
      if (found === 'payload') (message ?? others).push(piece);
      const isWhole = found === 'frame' || found === 'payload' ? reader.owedBytes === 0 : false;
      if (isWhole && message !== undefined) messages.push(Buffer.concat(message).toString('hex'));
    }
  }
  return { messages, others: Buffer.concat(others).toString('hex') };
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + Math.max(1, sizes[i % sizes.length] ?? 1);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'frames: any bytes, cut anywhere, give what they give in one piece',
    property: fc.property(
      stream,
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
      (bytes, sizes) => {
        const whole = read([bytes]);
        const pieces = read(cut(bytes, sizes));
        assert.deepEqual(pieces, whole);
      },
    ),
  },
  {
    name: 'long media: any payload gives in slices what it gives at once',
    property: fc.property(fc.string({ maxLength: 200 }), fc.uint8Array({ maxLength: 300 }), (junk, audio) => {
      const good = Buffer.from(Buffer.from(audio).toString('base64'));
      const slices = new Base64Slices(good, 0, good.length);
      const read = [];
      while (!slices.isDone) read.push(Buffer.from(slices.next() ?? assert.fail('refused')));
      assert.deepEqual(Buffer.concat(read), Buffer.from(audio));
      const bad = Buffer.from(junk);
      const others = new Base64Slices(bad, 0, bad.length);
      for (let i = 0; !others.isDone; i++) {
        others.next();
        assert.ok(i < 300, 'it ends');
      }
    }),
  },
];
