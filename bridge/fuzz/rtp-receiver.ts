import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CallerAudio } from '../src/chan-websocket/caller-audio.ts';
import { writeRtpHeader } from '../src/rtp/packet.ts';
import { RtpReceiver } from '../src/rtp/receiver.ts';
import type { FuzzTarget } from './target.ts';

const IDLE_MS = 200;
const MAX_LEAD_MS = 200;
const BYTES_PER_MS = 8;

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
  const heard = { ms: 0, lastMs: 0, frames: 0 };
  const onFrame = (source: Buffer, start: number, end: number, timestampMs: number) => {
    assert.ok(start >= 0 && start < end && end <= source.length, 'a frame lies within its source');
    assert.ok(timestampMs >= heard.lastMs - 1, 'the time never goes back');
    heard.lastMs = timestampMs + (end - start) / BYTES_PER_MS;
    heard.ms += (end - start) / BYTES_PER_MS;
    heard.frames += 1;
    const most = elapsedMs() + MAX_LEAD_MS;
    assert.ok(heard.ms <= most + 1e-6, `${heard.ms} ms of audio, ${most} allowed`);
    assert.ok(heard.lastMs <= most + 1, `the caller's time is ${heard.lastMs} ms, ${most} allowed`);
  };
  return { heard, onFrame };
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'rtp receiver: any datagrams at any time are at most as much audio as time has passed, and all are counted',
    property: fc.property(events, fc.boolean(), (script, begins) => {
      let now = 1000;
      let latest = now;
      let origin = begins ? now : Number.NaN;
      const { heard, onFrame } = listener(() => latest - (Number.isNaN(origin) ? latest : origin));
      const receiver = new RtpReceiver({
        ...{ payloadType: 0, dtmfPayloadType: 101, clockRate: 8000, frameSamples: 160, frameBytes: 160 },
        ...{ silence: 0xff, maxReorderMs: 60, idleMs: IDLE_MS, maxLeadMs: MAX_LEAD_MS, onFrame },
      });
      if (begins) receiver.begin(now);
      let [sequence, timestamp, datagrams] = [65_530, 2 ** 32 - 500, 0];
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
          ...{
            frameBytes: 160,
            frameMs: 20,
            silence: 0xff,
            idleMs: IDLE_MS,
            maxLeadMs: MAX_LEAD_MS,
            onFrame,
          },
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
