import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CallerAudio } from '../src/chan-websocket/caller-audio.ts';
import { writeRtpHeader } from '../src/rtp/packet.ts';
import { RtpReceiver } from '../src/rtp/receiver.ts';
import { PCMU_RECEIVER } from '../test/pcmu-receiver.ts';
import type { FuzzTarget } from './target.ts';

const IDLE_MS = PCMU_RECEIVER.idleMs;
const MAX_LEAD_MS = PCMU_RECEIVER.maxLeadMs;
const BYTES_PER_MS = 8;
/** What has less audio counts for so much: 400 packets a second are taken. */
const MIN_PACKET_MS = 2.5;

/** How a number of a stream goes on: a step of its own, a leap, or anywhere. */
const step = (usual: number, range: number) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.integer({ min: -4 * usual, max: 12 * usual }) },
    { weight: 1, arbitrary: fc.integer({ min: -range, max: range }) },
  );

const packet = fc.record({
  kind: fc.constant('packet' as const),
  afterMs: fc.oneof(
    fc.constant(20),
    fc.double({ min: 0, max: 60, noNaN: true }),
    fc.integer({ min: -50, max: 3000 }),
  ),
  sequence: step(1, 0x8000),
  timestamp: step(160, 2 ** 31),
  ssrc: fc.oneof(
    { weight: 9, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }) },
  ),
  payloadType: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.constantFrom(8, 13, 101)),
  bytes: fc.oneof({ weight: 6, arbitrary: fc.constant(160) }, fc.integer({ min: 0, max: 2036 })),
});
const other = fc.oneof(
  fc.record({ kind: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 60 }) }),
  fc.record({ kind: fc.constant('tick' as const), afterMs: fc.integer({ min: 0, max: 500 }) }),
  fc.record({ kind: fc.constant('key' as const), durationMs: fc.integer({ min: -5, max: 20_000 }) }),
);
const events = fc.array(fc.oneof({ weight: 8, arbitrary: packet }, { weight: 2, arbitrary: other }), {
  maxLength: 120,
});

/** Checks each frame as it comes. */
function listener(elapsedMs: () => number) {
  const heard = { ms: 0, lastMs: 0, frames: 0, tiny: 0 };
  const onFrame = (source: Buffer, start: number, end: number, timestampMs: number) => {
    assert.ok(start >= 0 && start < end && end <= source.length, 'a frame lies within its source');
    assert.ok(timestampMs >= heard.lastMs - 1, 'the time never goes back');
    heard.lastMs = timestampMs + (end - start) / BYTES_PER_MS;
    heard.ms += (end - start) / BYTES_PER_MS;
    heard.frames += 1;
    if (end - start < MIN_PACKET_MS * BYTES_PER_MS) heard.tiny += 1;
    const most = elapsedMs() + MAX_LEAD_MS;
    assert.ok(heard.tiny * MIN_PACKET_MS <= most + MIN_PACKET_MS, `${heard.tiny} tiny packets in ${most} ms`);
    assert.ok(heard.ms <= most + 1e-6, `${heard.ms} ms of audio, ${most} allowed`);
    assert.ok(heard.lastMs <= most + 1, `the caller's time is ${heard.lastMs} ms, ${most} allowed`);
  };
  return { heard, onFrame };
}

/** Packets of 20 ms in time, each up to two places from its own, some of them twice. */
const stream = fc
  .array(fc.record({ shift: fc.integer({ min: 0, max: 2 }), isTwice: fc.boolean() }), {
    minLength: 1,
    maxLength: 80,
  })
  .map((packets) =>
    packets
      .flatMap(({ shift, isTwice }, index) => {
        // The first begins the stream.
        const place = index === 0 ? 0 : index + shift;
        return isTwice
          ? [
              { index, place },
              { index, place: place + 0.5 },
            ]
          : [{ index, place }];
      })
      .toSorted((a, b) => a.place - b.place),
  );
/** Bursts of packets or messages with hardly any audio. */
const bursts = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 400 }),
    count: fc.integer({ min: 1, max: 150 }),
    bytes: fc.integer({ min: 1, max: 19 }),
  }),
  { maxLength: 6 },
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'rtp receiver: packets in time, in nearly their order, some twice: each is heard once, in order',
    property: fc.property(
      stream,
      fc.integer({ min: 0, max: 0xffff }),
      fc.boolean(),
      (packets, first, begins) => {
        const heard: number[] = [];
        const receiver = new RtpReceiver({
          ...PCMU_RECEIVER,
          onFrame: (source, start, end) => {
            const value = source[start] as number;
            assert.ok(source.subarray(start, end).every((byte) => byte === value));
            if (value !== PCMU_RECEIVER.silence) heard.push(value);
          },
        });
        if (begins) receiver.begin(1000);
        // One memory for all, as the socket's reader has.
        const datagram = Buffer.alloc(172);
        for (const { index, place } of packets) {
          datagram.fill(index + 1);
          writeRtpHeader(
            datagram,
            false,
            0,
            (first + index) & 0xffff,
            (4_294_960_000 + index * 160) >>> 0,
            9,
          );
          receiver.push(datagram, 1000 + place * 20);
        }
        receiver.flush();
        const all = new Set(packets.map(({ index }) => index + 1));
        assert.deepEqual(
          heard,
          [...all].toSorted((a, b) => a - b),
        );
        assert.equal(receiver.stats.lost, 0);
        assert.equal(receiver.stats.duplicates, packets.length - all.size);
      },
    ),
  },
  {
    name: 'rtp receiver, media websocket: of a burst of tiny packets and messages at most the rate per second is taken',
    property: fc.property(bursts, (script) => {
      let now = 0;
      const { heard, onFrame } = listener(() => now);
      const { heard: overWebsocket, onFrame: onMessage } = listener(() => now);
      const receiver = new RtpReceiver({ ...PCMU_RECEIVER, onFrame });
      const { silence, frameBytes } = PCMU_RECEIVER;
      const limits = { frameBytes, frameMs: 20, silence, idleMs: IDLE_MS, maxLeadMs: MAX_LEAD_MS };
      const caller = new CallerAudio({ ...limits, onFrame: onMessage });
      receiver.begin(now);
      caller.begin(now);
      let sequence = 0;
      let timestamp = 0;
      for (const { afterMs, count, bytes } of script) {
        now += afterMs;
        for (let i = 0; i < count; i++, sequence++, timestamp += bytes) {
          const datagram = Buffer.alloc(12 + bytes, 1);
          writeRtpHeader(datagram, false, 0, sequence & 0xffff, timestamp, 9);
          receiver.push(datagram, now);
          caller.push(datagram.subarray(12), now);
        }
      }
      assert.ok(heard.tiny <= sequence && overWebsocket.tiny <= sequence);
    }),
  },
  {
    name: 'media websocket: messages in time, some late, are all heard, in order',
    property: fc.property(
      fc
        .tuple(fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 120 }), fc.nat(100))
        .map(([delays, more]) => [...delays, ...new Array<number>(more).fill(0)].slice(0, 120)),
      (delaysMs) => {
        const heard: number[] = [];
        const { silence, frameBytes } = PCMU_RECEIVER;
        const caller = new CallerAudio({
          frameBytes,
          frameMs: 20,
          silence,
          idleMs: IDLE_MS,
          maxLeadMs: MAX_LEAD_MS,
          onFrame: (source, start) => {
            if (source[start] !== silence) heard.push(source[start] as number);
          },
        });
        caller.begin(0);
        let now = 0;
        for (const [index, delayMs] of delaysMs.entries()) {
          now = Math.max(now, index * 20 + delayMs);
          caller.tick(now);
          caller.push(Buffer.alloc(frameBytes, index + 1), now);
        }
        assert.deepEqual(
          heard,
          delaysMs.map((_, index) => index + 1),
        );
      },
    ),
  },
  {
    name: 'rtp receiver: any datagrams at any time are at most as much audio as time has passed, and all are counted',
    property: fc.property(events, fc.boolean(), (script, begins) => {
      let now = 1000;
      let latest = now;
      let origin = begins ? now : Number.NaN;
      const { heard, onFrame } = listener(() => latest - (Number.isNaN(origin) ? latest : origin));
      const receiver = new RtpReceiver({ ...PCMU_RECEIVER, onFrame });
      if (begins) receiver.begin(now);
      let sequence = 65_530;
      let timestamp = 2 ** 32 - 500;
      let datagrams = 0;
      for (const event of script) {
        if (event.kind === 'key') receiver.keyHeard(event.durationMs, now);
        else if (event.kind === 'tick') {
          now += event.afterMs;
          latest = Math.max(latest, now);
          receiver.tick(now);
        } else if (event.kind === 'bytes') {
          datagrams += 1;
          receiver.push(Buffer.from(event.bytes), now);
        } else {
          now += event.afterMs;
          latest = Number.isNaN(origin) ? now : Math.max(latest, now);
          // The first packet of audio begins the time where nothing else has.
          if (Number.isNaN(origin) && event.payloadType === 0) origin = now;
          sequence = (sequence + event.sequence) & 0xffff;
          timestamp = (timestamp + event.timestamp) >>> 0;
          const datagram = Buffer.alloc(12 + event.bytes, 1);
          writeRtpHeader(datagram, false, event.payloadType, sequence, timestamp, event.ssrc);
          datagrams += 1;
          receiver.push(datagram, now);
        }
      }
      receiver.flush();
      const { stats } = receiver;
      for (const [name, value] of Object.entries(stats))
        assert.ok(value >= 0 && Number.isFinite(value), name);
      const known = stats.packetsReceived + stats.malformed + stats.duplicates + stats.strays;
      // A packet of another type counts there, and may count as received, too.
      assert.ok(
        known <= datagrams && datagrams <= known + stats.wrongPayloadType + stats.dtmfPackets,
        'all are counted',
      );
      assert.ok(stats.early + stats.late <= stats.packetsReceived);
      assert.ok(heard.frames <= stats.packetsReceived + stats.filledFrames);
    }),
  },
  {
    name: 'media websocket: any messages at any time are at most as much audio as time has passed',
    property: fc.property(
      fc.array(
        fc.record({
          afterMs: fc.oneof(fc.constant(20), fc.integer({ min: 0, max: 3000 })),
          bytes: fc.oneof(fc.constant(160), fc.integer({ min: 0, max: 65_536 })),
          isTick: fc.boolean(),
        }),
        { maxLength: 100 },
      ),
      (script) => {
        let now = 0;
        const { heard, onFrame } = listener(() => now);
        const caller = new CallerAudio({
          frameBytes: 160,
          frameMs: 20,
          silence: 0xff,
          idleMs: IDLE_MS,
          maxLeadMs: MAX_LEAD_MS,
          onFrame,
        });
        caller.begin(now);
        for (const { afterMs, bytes, isTick } of script) {
          now += afterMs;
          if (isTick) caller.tick(now);
          else caller.push(Buffer.alloc(bytes, 1), now);
        }
        assert.ok(heard.frames <= caller.received - caller.early + caller.filledFrames);
      },
    ),
  },
];
