import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Draft } from '../src/pipecat/draft.ts';
import { FrameReader, FrameWriter } from '../src/pipecat/frame.ts';
import { Base64Slices } from '../src/pipecat/long-media.ts';
import type { FuzzTarget } from './target.ts';

/**
 * A frame of a server: any first byte, masked or not, its length in any of the three forms (RFC
 * 6455 section 5.2).
 */
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

/** A plain frame of a server, its length written as short as it can be. */
function plainFrame(isText: boolean, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.from([isText ? 0x81 : 0x82, length < 126 ? length : length < 65_536 ? 126 : 127]);
  const long = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8);
  if (long.length > 0) long.writeUIntBE(length, long.length === 8 ? 2 : 0, long.length === 8 ? 6 : 2);
  return Buffer.concat([head, long, payload]);
}
const payload = fc
  .oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 400 }) },
    { weight: 2, arbitrary: fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 65_700) },
  )
  .chain((length) => fc.nat(255).map((byte) => Buffer.alloc(length, byte)));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'frames: what a server sends in plain frames is read, masked and unknown ones between them passed over',
    property: fc.property(
      fc.array(
        fc.record({
          isText: fc.boolean(),
          payload,
          mask: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined }),
          opcode: fc.constantFrom(0x80, 0x89, 0x8a, 0xc1, 0x01),
          isPlain: fc.boolean(),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 4 }),
      (frames, sizes) => {
        const wire = frames.map(({ isText, payload, mask, opcode, isPlain }) => {
          const whole = plainFrame(isText, payload);
          if (isPlain) return whole;
          if (mask === undefined) return Buffer.concat([Buffer.of(opcode), whole.subarray(1)]);
          const headBytes = whole.length - payload.length;
          const head = Buffer.from(whole.subarray(0, headBytes));
          head[1] = head.readUInt8(1) | 0x80;
          return Buffer.concat([head, mask, payload]);
        });
        const expected = frames
          .filter(({ isPlain }) => isPlain)
          .map(({ payload }) => payload.toString('hex'));
        const { messages } = read(cut(Buffer.concat(wire), sizes));
        assert.equal(messages.length, expected.length);
        for (const [i, message] of messages.entries()) assert.ok(message === expected[i], `message ${i}`);
      },
    ),
  },
  {
    name: 'frames: what we write is a masked frame of the message, as a server unmasks it',
    property: fc.property(
      fc.boolean(),
      payload,
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      (isText, bytes, mask) => {
        const draft = new Draft();
        draft.begin(isText, bytes.length);
        draft.copy(bytes);
        const frame = new FrameWriter(70_000).write(draft, mask);
        if (bytes.length > 65_535) return assert.ok(frame === undefined, 'refused');
        assert.ok(frame !== undefined);
        const [first, second = 0] = frame;
        assert.equal(first, isText ? 0x81 : 0x82);
        assert.equal(second & 0x80, 0x80, 'masked (RFC 6455 section 5.1)');
        const isLong = (second & 0x7f) === 126;
        assert.equal(isLong ? frame.readUInt16BE(2) : second & 0x7f, bytes.length);
        const at = isLong ? 8 : 6;
        const key = frame.subarray(at - 4, at);
        assert.equal(key.readInt32LE(), mask);
        const plain = frame.subarray(at).map((byte, i) => byte ^ (key[i % 4] as number));
        assert.ok(bytes.equals(plain), 'the payload');
      },
    ),
  },
  {
    name: 'long media: many slices give what they give at once, in lines or not, with escapes or not',
    property: fc.property(
      fc.integer({ min: 190_000, max: 420_000 }),
      fc.nat(255),
      fc.integer({ min: 0, max: 90_000 }),
      fc.constantFrom('\\n', '\\r\\n', ''),
      (length, seed, lineChars, lineEnd) => {
        const audio = Buffer.alloc(length);
        for (let i = 0; i < length; i++) audio[i] = (i * 7 + (i >> 8) * 13 + seed) & 0xff;
        const plain = audio.toString('base64');
        const lines = [];
        for (let at = 0; lineChars > 999 && at < plain.length; at += lineChars)
          lines.push(plain.slice(at, at + lineChars));
        const text = Buffer.from(lineChars > 999 ? lines.join(lineEnd) : plain);
        const slices = new Base64Slices(text, 0, text.length);
        const made = [];
        while (!slices.isDone) made.push(Buffer.from(slices.next() ?? assert.fail('refused')));
        assert.ok(Buffer.concat(made).equals(audio));
      },
    ),
  },
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
