import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { writeRtpHeader } from '../rtp/packet.ts';
import { RtpReceiver } from '../rtp/receiver.ts';
import { Concealment } from './concealment.ts';
import type { Fade } from './fade.ts';

interface Setup {
  frameBytes?: number;
  clockRate?: number;
  conceal?: boolean;
}

/**
 * A receiver that names its fades, and what it handed on: a packet's first byte, `1>0.7` for a
 * fade, `-` for silence.
 */
function listen({ frameBytes = 160, clockRate = 8000, conceal = true }: Setup = {}) {
  const heard: string[] = [];
  const times: number[] = [];
  let fading = '';
  const fade: Fade = (source, start, end, target, from, to) => {
    source.copy(target, 0, start, end);
    fading = `${source[start]}-${source[end - 1]}:${from}>${to}`;
  };
  const receiver = new RtpReceiver({
    payloadType: 0,
    clockRate,
    frameSamples: clockRate / 50,
    frameBytes,
    silence: 0,
    maxReorderMs: 60,
    idleMs: 200,
    maxLeadMs: 200,
    concealment: conceal ? new Concealment(fade, Buffer.alloc(frameBytes, 0)) : undefined,
    onFrame: (source, start, end, timestampMs) => {
      const first = source[start] as number;
      heard.push(fading || (first === 0 ? '-' : String(first)));
      if (fading) assert.equal(end - start, frameBytes);
      fading = '';
      times.push(timestampMs);
    },
  });
  return { receiver, heard, times };
}

/**
 * Packet `index` (from 1 on); its payload holds its index. `at` is its place in time, in frames.
 */
function packet(index: number, { bytes = 160, at = index, units = 160 } = {}): Buffer {
  const datagram = Buffer.alloc(12 + bytes, index);
  writeRtpHeader(datagram, false, 0, index, at * units, 7);
  return datagram;
}

describe('a receiver that conceals losses', () => {
  test('repeats the last frame with a fade, once for one packet', () => {
    const { receiver, heard } = listen();
    for (const i of [1, 2, 4, 5, 6]) receiver.push(packet(i), i * 20);
    assert.deepEqual(heard, ['1', '2', '2-2:1>0.7', '4', '5', '6']);
    assert.deepEqual([receiver.stats.filledFrames, receiver.stats.concealedFrames], [1, 1]);
  });

  test('is silent after three frames, and begins afresh with the next loss', () => {
    const { receiver, heard, times } = listen();
    for (const i of [1, 7, 8, 9, 11, 12, 13, 14]) receiver.push(packet(i), i * 20);
    assert.deepEqual(heard.slice(0, 7), ['1', '1-1:1>0.7', '1-1:0.7>0.4', '1-1:0.4>0', '-', '-', '7']);
    assert.deepEqual(heard.slice(9, 11), ['9-9:1>0.7', '11']);
    assert.deepEqual(
      times,
      times.map((_, i) => i * 20),
    );
  });

  test('fills the pause of a sender that suppresses silence with silence', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(1), 0);
    receiver.push(packet(2, { at: 5 }), 80);
    assert.deepEqual(heard, ['1', '-', '-', '-', '2']);
    assert.equal(receiver.stats.concealedFrames, 0);
  });

  test('repeats no more than was lost where a pause follows a loss', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(1), 0);
    receiver.push(packet(3, { at: 6 }), 100);
    assert.deepEqual(heard, ['1', '1-1:1>0.7', '-', '-', '-', '3']);
  });

  test('repeats nothing into the silence of an outage', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(1), 20);
    for (let now = 40; now <= 600; now += 20) receiver.tick(now);
    receiver.push(packet(30), 600);
    receiver.push(packet(31), 620);
    assert.equal(receiver.stats.concealedFrames, 0);
    assert.deepEqual(new Set(heard), new Set(['1', '-', '30', '31']));
    assert.equal(heard.length, 31);
  });

  test('remembers a whole frame of short packets and the last one of long packets', () => {
    const short = listen();
    for (const i of [1, 2, 3, 5, 6, 7, 8, 9, 10, 11])
      short.receiver.push(packet(i, { bytes: 80, units: 80 }), i * 10);
    // Ten ms are time only; a second packet lost makes a frame.
    const longer = listen();
    for (const i of [1, 2, 3, 6, 7, 8, 9, 10, 11, 12])
      longer.receiver.push(packet(i, { bytes: 80, units: 80 }), i * 10);
    assert.ok(!short.heard.join().includes(':'));
    assert.equal(longer.heard[3], '2-3:1>0.7');
    const long = listen();
    for (const i of [1, 3, 4]) long.receiver.push(packet(i, { bytes: 480, units: 480 }), i * 60);
    assert.deepEqual(long.heard, ['1', '1-1:1>0.7', '1-1:0.7>0.4', '1-1:0.4>0', '3', '4']);
  });

  test('forgets a loss at a new SSRC', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(1), 0);
    receiver.push(packet(3), 40);
    const other = packet(9);
    writeRtpHeader(other, false, 0, 9, 5000, 8);
    receiver.push(other, 60);
    const next = packet(10);
    writeRtpHeader(next, false, 0, 10, 5000 + 3 * 160, 8);
    receiver.push(next, 120);
    assert.deepEqual(heard, ['1', '1-1:1>0.7', '3', '9', '-', '-', '10']);
  });
});

test('a receiver without concealment puts silence in for losses', () => {
  const { receiver, heard } = listen({ conceal: false });
  for (const i of [1, 3, 4, 5]) receiver.push(packet(i), i * 20);
  assert.deepEqual(heard, ['1', '-', '3', '4', '5']);
});

for (const [clockRate, frameBytes] of [
  [16_000, 640],
  [24_000, 960],
] as const) {
  test(`a receiver takes 16-bit samples at ${clockRate} Hz, whole ones only`, () => {
    const { receiver, heard, times } = listen({ clockRate, frameBytes });
    const units = clockRate / 50;
    for (const i of [1, 2, 4, 5, 6])
      receiver.push(packet(i, { bytes: i === 2 ? frameBytes + 1 : frameBytes, units }), i * 20);
    assert.deepEqual(heard, ['1', '2', '2-2:1>0.7', '4', '5', '6']);
    assert.deepEqual(times, [0, 20, 40, 60, 80, 100]);
  });
}

describe('concealment', () => {
  /** Frames of four bytes, repeated as they are; what stands in for the next three lost packets. */
  const open = () => {
    const fade = (source: Buffer, start: number, end: number, target: Buffer) =>
      void source.copy(target, 0, start, end);
    const concealment = new Concealment(fade, Buffer.alloc(4, '-'));
    const heard = (text: string) => {
      const datagram = Buffer.from(`<<${text}>>`);
      concealment.heard(datagram, 2, 2 + text.length);
    };
    return { concealment, heard, next: () => concealment.next()?.toString() };
  };

  test('repeats the end of what was heard, whatever the size of its packets', () => {
    const { heard, next } = open();
    const cases = [
      ['abcd', 'abcd'],
      ['0123456789', '6789'],
      ['e', '789e'],
      ['fg', '9efg'],
      ['hij', 'ghij'],
      ['klmn', 'klmn'],
      ['o', 'lmno'],
    ] as const;
    for (const [packet, expected] of cases) {
      heard(packet);
      assert.deepEqual([next(), next(), next(), next()], [expected, expected, expected, undefined]);
    }
  });

  test('repeats silence where less than a frame was heard so far', () => {
    const { heard, next } = open();
    heard('ab');
    assert.equal(next(), '--ab');
    heard('c');
    assert.equal(next(), '-abc');
  });

  test('is over with the first silence, until something is heard', () => {
    const { concealment, heard, next } = open();
    heard('abcd');
    concealment.stop();
    assert.equal(next(), undefined);
    heard('efgh');
    assert.equal(next(), 'efgh');
  });
});
