/** The caller's time: what it may never do, whatever comes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PCMU_RECEIVER } from '../../test/pcmu-receiver.ts';
import { writeRtpHeader } from './packet.ts';
import { RtpReceiver } from './receiver.ts';

const SILENCE = PCMU_RECEIVER.silence;
const MAX_LEAD_MS = PCMU_RECEIVER.maxLeadMs;

/** A receiver, a sender of its stream, and what was handed on. */
function lab() {
  const heard: { byte: number; ms: number; timestampMs: number }[] = [];
  const receiver = new RtpReceiver({
    ...PCMU_RECEIVER,
    onFrame: (source, start, end, timestampMs) =>
      heard.push({ byte: source[start] as number, ms: (end - start) / 8, timestampMs }),
  });
  const send = (
    sequence: number,
    timestamp: number,
    atMs: number,
    { bytes = 160, ssrc = 1, payloadType = 0 } = {},
  ) => {
    const datagram = Buffer.alloc(12 + bytes, 0x10);
    writeRtpHeader(datagram, false, payloadType, sequence & 0xffff, timestamp >>> 0, ssrc);
    receiver.push(datagram, atMs);
  };
  const heardMs = () => heard.reduce((sum, { ms }) => sum + ms, 0);
  /** Of them, not silence. */
  const audioMs = () => heard.reduce((sum, { ms, byte }) => sum + (byte === SILENCE ? 0 : ms), 0);
  return { receiver, heard, send, heardMs, audioMs, stats: receiver.stats };
}

describe("the caller's time never runs ahead of the clock by more than the jitter buffer", () => {
  test('when the timestamp leaps by 1.9 s a packet: the packets are heard, what they leap over is not', () => {
    const { send, heardMs, audioMs, stats } = lab();
    for (let i = 0; i < 300; i++) send(i, i * 1.9 * 8000, i * 20);
    assert.ok(heardMs() <= 6000 + MAX_LEAD_MS, `${heardMs()} ms of audio in 6 s`);
    assert.ok(audioMs() >= 5800, `${audioMs()} ms of it the caller's`);
    assert.ok(stats.restarts > 250);
  });

  test('in a flood of 3000 packets a second: what is too much is dropped and counted', () => {
    const { send, heardMs, stats } = lab();
    for (let i = 0; i < 6000; i++) send(i, i * 160, i / 3);
    assert.ok(heardMs() <= 2000 + MAX_LEAD_MS);
    assert.equal(stats.packetsReceived, 6000);
    assert.equal(stats.early + heardMs() / 20, 6000);
  });

  test('in a flood of packets of one sample, whose number is limited too', () => {
    const { send, heard } = lab();
    for (let i = 0; i < 30_000; i++) send(i, i, i / 10, { bytes: 1 });
    assert.ok(heard.length <= 3000 / 2.5 + MAX_LEAD_MS / 2.5, `${heard.length} frames in 3 s`);
  });

  test('when packets are as big as they can be, the source changes with each, or sequence numbers leap', () => {
    const big = lab();
    for (let i = 0; i < 100; i++) big.send(i, i * 2000, i * 20, { bytes: 2000 });
    assert.ok(big.heardMs() <= 2000 + MAX_LEAD_MS);
    const sources = lab();
    for (let i = 0; i < 1000; i++) sources.send(i * 7919, i * 1e8, i, { ssrc: i });
    assert.ok(sources.heardMs() <= 1000 + MAX_LEAD_MS);
    const leaps = lab();
    for (let i = 0; i < 100; i++) leaps.send(i * 2999, i * 2999 * 160, i * 20);
    assert.ok(leaps.heardMs() <= 2000 + MAX_LEAD_MS);
  });

  test('and a burst after a stall of the network of 400 ms is heard whole', () => {
    const { send, receiver, heard, heardMs, audioMs, stats } = lab();
    for (let i = 0; i < 50; i++) send(i, i * 160, i * 20);
    for (let now = 1000; now < 1400; now += 20) receiver.tick(now);
    for (let i = 50; i < 70; i++) send(i, i * 160, 1400);
    for (let i = 70; i < 100; i++) send(i, i * 160, i * 20);
    assert.deepEqual([audioMs(), stats.early], [2000, 0]);
    assert.ok(heardMs() <= 2000 + MAX_LEAD_MS && heard.length > 100);
  });
});

describe('a caller of whom nothing has come', () => {
  test('is silent every 20 ms from the beginning, and heard at once when he is there, nothing twice', () => {
    const { receiver, send, heard, audioMs } = lab();
    receiver.begin(1000);
    for (let now = 1007; now < 6000; now += 20) receiver.tick(now);
    assert.equal(heard.length, 249);
    for (let i = 0; i < 50; i++) {
      send(i, 77 + i * 160, 6001 + i * 20);
      receiver.tick(6007 + i * 20);
    }
    assert.equal(audioMs(), 1000);
    assert.ok(Math.abs(heard.length * 20 - 6000) <= 20, `${heard.length} frames in 6 s`);
    for (const [i, { timestampMs }] of heard.entries()) {
      const step = timestampMs - (heard[i - 1]?.timestampMs ?? -20);
      assert.ok(step >= 20 && step < 40, `a step of ${step} ms`);
    }
  });

  test('who stops and comes back, as after a hold, leaves neither a hole nor a surplus', () => {
    const { receiver, send, heard } = lab();
    receiver.begin(0);
    for (let i = 0; i < 50; i++) send(i, i * 160, i * 20);
    for (let now = 1000; now < 9000; now += 20) receiver.tick(now);
    // Asterisk goes on with timestamps from elsewhere.
    for (let i = 0; i < 50; i++) send(50 + i, 1e6 + i * 160, 9000 + i * 20);
    assert.equal(heard.length, 500);
    assert.equal(heard.at(-1)?.timestampMs, 9980);
  });
});

describe('a key that shares sequence numbers with the audio is no loss', () => {
  /**
   * Audio, then `events` packets that Asterisk keeps while `ms` pass, then audio. `told`: ms after
   * which Asterisk reports the key.
   */
  const press = (events: number, passedMs: number, toldAtMs?: number, durationMs = passedMs) => {
    const { receiver, send, stats } = lab();
    for (let i = 0; i < 50; i++) send(i, i * 160, i * 20);
    const endMs = 1000 + passedMs;
    if (toldAtMs !== undefined && toldAtMs <= 0) receiver.keyHeard(durationMs, endMs + toldAtMs);
    for (let now = 1000; now < endMs; now += 20) receiver.tick(now);
    for (let i = 0; i < 50; i++) {
      const at = endMs + i * 20;
      if (toldAtMs !== undefined && toldAtMs > 0 && at >= endMs + toldAtMs && at < endMs + toldAtMs + 20)
        receiver.keyHeard(durationMs, at);
      send(50 + events + i, 8000 + passedMs * 8 + i * 160, at);
    }
    return stats;
  };

  test('known by its repeated end, of any length', () => {
    assert.equal(press(8, 120).lost, 0);
    assert.equal(press(53, 1000).lost, 0);
    assert.equal(press(4, 20).lost, 0);
  });

  test('known by the word of Asterisk where its events are as many as packets of audio, or fewer', () => {
    assert.equal(press(6, 120).lost, 6);
    assert.equal(press(6, 120, 0).lost, 0);
    assert.equal(press(6, 120, 100).lost, 0);
    assert.equal(press(7, 250, -10).lost, 0);
  });

  test('also where the audio goes on between the events', () => {
    const { send, stats } = lab();
    for (let i = 0; i < 100; i++) send(i < 50 ? i : Math.min(8, i - 50) + i, i * 160, i * 20);
    assert.equal(stats.lost, 0);
  });

  test('but real losses are counted, with keys about or without', () => {
    assert.equal(press(5, 100).lost, 5);
    assert.equal(press(2, 40, 0).lost, 2);
    assert.equal(press(40, 800, 0, 100).lost, 40);
    // Long after the key.
    assert.equal(press(6, 120, 800).lost, 6);
  });
});
