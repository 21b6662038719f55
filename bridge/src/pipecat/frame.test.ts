import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draft } from './draft.ts';
import { FrameReader, FrameWriter } from './frame.ts';

/** A frame without mask, as a server sends it (RFC 6455 section 5.2). */
function serverFrame(first: number, payload: Buffer): Buffer {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.of(first, length), payload]);
  if (length < 65_536) return Buffer.concat([Buffer.of(first, 126, length >> 8, length & 0xff), payload]);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeUIntBE(length, 4, 6);
  return Buffer.concat([head, payload]);
}

/** What a server reads from a client's frame. */
function unmask(frame: Buffer): { first: number; payload: string } {
  const second = frame[1] as number;
  assert.ok(second >= 0x80, 'a client masks');
  const maskAt = second === 0xfe ? 4 : 2;
  const length = second === 0xfe ? frame.readUInt16BE(2) : second & 0x7f;
  const payload = frame.subarray(maskAt + 4);
  assert.equal(payload.length, length);
  const plain = payload.map((byte, i) => byte ^ (frame[maskAt + (i % 4)] as number));
  return { first: frame[0] as number, payload: Buffer.from(plain).toString('latin1') };
}

function draftOf(message: Buffer, isText: boolean): Draft {
  const draft = new Draft();
  draft.begin(isText, message.length);
  draft.copy(message, 0, message.length);
  return draft;
}

test('a message is framed and masked as a server expects it, whatever its length', () => {
  const writer = new FrameWriter(400);
  for (let length = 0; length <= 400; length++) {
    const payload = 'abcdefghijklm'.repeat(40).slice(0, length);
    const text = draftOf(Buffer.from(payload), true);
    assert.deepEqual(unmask(writer.write(text, 0x9d3c5a71 | 0) as Buffer), { first: 0x81, payload });
    const bytes = draftOf(Buffer.from(payload), false);
    assert.deepEqual(unmask(writer.write(bytes, -7) as Buffer), { first: 0x82, payload });
    assert.equal(bytes.bytes.toString('latin1', 0, length), payload, 'what was given is left as it was');
  }
});

test('a message over the limit is not framed', () => {
  const writer = new FrameWriter(100);
  assert.equal(writer.write(draftOf(Buffer.alloc(101), true), 1), undefined);
  assert.equal(writer.write(draftOf(Buffer.alloc(101), false), 1), undefined);
  for (const length of [65_536, 65_537])
    assert.ok(new FrameWriter(1_000_000).write(draftOf(Buffer.alloc(length), true), 1) === undefined);
});

/** What a reader finds in chunks: whole messages as text, and what is left for others. */
function read(chunks: readonly Buffer[]): { found: string[]; left: Buffer } {
  const reader = new FrameReader();
  const found: string[] = [];
  const left: Buffer[] = [];
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at = reader.end) {
      const what = reader.next(chunk, at, chunk.length);
      if (what === 'message')
        found.push(`${reader.isText ? '' : 'binary '}${chunk.toString('latin1', reader.start, reader.end)}`);
      if (what === 'frame') left.push(Buffer.from(reader.head));
      if (what === 'payload') left.push(chunk.subarray(reader.start, reader.end));
      assert.ok(reader.end > at && reader.end <= chunk.length);
    }
  }
  return { found, left: Buffer.concat(left) };
}

test('whole messages are found, also several in a chunk and of any length', () => {
  const long = 'y'.repeat(70_000);
  const chunk = Buffer.concat([
    serverFrame(0x81, Buffer.from('one')),
    serverFrame(0x82, Buffer.from('two')),
    serverFrame(0x81, Buffer.alloc(0)),
    serverFrame(0x81, Buffer.alloc(300, 'x')),
    serverFrame(0x81, Buffer.from(long)),
  ]);
  assert.deepEqual(read([chunk]).found, ['one', 'binary two', '', 'x'.repeat(300), long]);
});

test('control frames, fragments, compressed and masked frames are left as they are', () => {
  const others = [
    serverFrame(0x89, Buffer.from('ping')),
    serverFrame(0x01, Buffer.from('frag')),
    serverFrame(0x80, Buffer.from('ment')),
    serverFrame(0xc1, Buffer.from('compressed')),
    serverFrame(0x88, Buffer.of(0x03, 0xe8)),
    // Masked, as no server's may be: the header is four bytes longer.
    Buffer.from('818500000000', 'hex'),
    Buffer.from('hello'),
  ];
  const { found, left } = read([Buffer.concat([...others, serverFrame(0x81, Buffer.from('end'))])]);
  assert.deepEqual(found, ['end']);
  assert.deepEqual(left, Buffer.concat(others));
});

test('wherever the stream is cut, no byte is lost and the frames after the cut are found', () => {
  const frames = ['', 'a', 'b'.repeat(125), 'c'.repeat(126), 'd'.repeat(300), 'e'].map((text) =>
    serverFrame(0x81, Buffer.from(text)),
  );
  const stream = Buffer.concat(frames);
  for (let first = 1; first < stream.length; first++) {
    for (const second of [first + 1, first + 2, first + 7, first + 150]) {
      const chunks = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)];
      const { found, left } = read(chunks.filter(({ length }) => length > 0));
      const refound = read([left]);
      assert.equal(refound.left.length, 0, 'what is left are whole frames');
      assert.equal(found.length + refound.found.length, frames.length);
      assert.ok(refound.found.length <= 2, 'only frames with a cut in them are left');
    }
  }
});

test('what a frame is can be told when its header is there, before any of its payload', () => {
  const reader = new FrameReader();
  const head = Buffer.from('817f0000000003938700', 'hex');
  assert.equal(reader.next(head.subarray(0, 4), 0, 4), 'header');
  assert.equal(reader.next(head, 4, 10), 'frame');
  assert.deepEqual([reader.payloadBytes, reader.owedBytes, reader.isPlain], [60_000_000, 60_000_000, true]);
  assert.equal(reader.next(Buffer.alloc(7), 0, 7), 'payload');
  assert.equal(reader.owedBytes, 59_999_993);
});

test('a masked, compressed or fragmented frame is not plain', () => {
  for (const bytes of ['818000000000', 'c100', '0100', '8900', '8000']) {
    const reader = new FrameReader();
    const frame = Buffer.from(bytes, 'hex');
    assert.equal(reader.next(frame, 0, frame.length), 'frame', bytes);
    assert.equal(reader.isPlain, false, bytes);
  }
});
