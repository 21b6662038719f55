/**
 * What the AI hears of a caller whose packets come late, twice, out of order or not at all: frame
 * by frame.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME, Handset, nowMs } from '../phones/handset.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { SECOND_PHONE } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

/** Sends back what it hears as it hears it, and so tells what it has heard. */
const ECHO_BOT = '101';
const FRAMES = 150;
const FRAME_MS = 20;
const BACK_LIMIT_MS = 3000;
const SSRC = 7;
/** RFC 4733 codes of 5, # and 1. */
const EVENTS = [5, 11, 1];
const SLOTS_A_DIGIT = 15;
/** What the way through Asterisk may add to a jitter or take from it. */
const JITTER_MS = 3;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());

/** A packet of a script; where it does not say otherwise, its numbers are those of its frame. */
interface Scripted {
  frame: number;
  ssrc?: number;
  sequence?: number;
  /** In frames. */
  time?: number;
}

/** One caller. */
interface Case {
  about: string;
  /** What is sent in the n-th slot of 20 ms. */
  script: (n: number) => Scripted[];
  /** What the AI hears in the place of frame n: nothing said means that frame. */
  heard?: (n: number) => 'silence' | 'concealed' | undefined;
  /** What the bridge counts. */
  counts: Readonly<Record<string, number>>;
  /** Its jitter is compared with that of the packets as they left. */
  hasJitter?: true;
  /**
   * At one point timestamps give no time: there the AI's time follows the clock, not in whole
   * frames.
   */
  byTheClock?: true;
}

const every = (n: number, of: number, at: number) => n % of === at;

const CASES: Case[] = [
  { about: 'comes as it should', script: (n) => [{ frame: n }], counts: {}, hasJitter: true },
  {
    about: 'has neighbours swapped: put in order',
    script: (n) => [{ frame: every(n, 10, 4) ? n + 1 : every(n, 10, 5) ? n - 1 : n }],
    counts: { reordered: 15 },
  },
  {
    about: 'has packets 40 ms late: put in order',
    script: (n) => (every(n, 20, 4) ? [] : [{ frame: n }, ...(every(n, 20, 6) ? [{ frame: n - 2 }] : [])]),
    counts: { reordered: 8 },
  },
  {
    about: 'has packets 100 ms late: too late, concealed, counted',
    script: (n) => (every(n, 20, 4) ? [] : [{ frame: n }, ...(every(n, 20, 9) ? [{ frame: n - 5 }] : [])]),
    heard: (n) => (every(n, 20, 4) ? 'concealed' : undefined),
    counts: { late: 8, concealedFrames: 8 },
  },
  {
    about: 'has packets twice: heard once',
    script: (n) => [{ frame: n }, ...(every(n, 10, 4) ? [{ frame: n }] : [])],
    counts: { duplicates: 15 },
  },
  {
    about: 'loses one packet in ten: concealed',
    script: (n) => (every(n, 10, 4) ? [] : [{ frame: n }]),
    heard: (n) => (every(n, 10, 4) ? 'concealed' : undefined),
    counts: { packetsReceived: 135, lost: 15, concealedFrames: 15 },
  },
  {
    about: 'loses five in a row: three concealed, then silence',
    script: (n) => (n >= 60 && n < 65 ? [] : [{ frame: n }]),
    heard: (n) => (n < 60 || n >= 65 ? undefined : n < 63 ? 'concealed' : 'silence'),
    counts: { packetsReceived: 145, lost: 5, concealedFrames: 3 },
  },
  {
    about: 'sends nothing in a pause (the timestamp goes on): the pause has its length',
    script: (n) => (n >= 50 && n < 100 ? [] : [{ frame: n, sequence: n < 50 ? n : n - 50 }]),
    heard: (n) => (n >= 50 && n < 100 ? 'silence' : undefined),
    counts: { packetsReceived: 100 },
  },
  {
    about: 'has a new SSRC and new numbers in mid-call: goes on without a gap',
    script: (n) => [
      n < 75 ? { frame: n } : { frame: n, ssrc: SSRC + 1, sequence: n + 20_000, time: n + 1e6 },
    ],
    counts: {},
    byTheClock: true,
  },
  {
    about: 'has its timestamp leap in mid-call: goes on without a gap',
    script: (n) => [{ frame: n, ...(n < 75 ? {} : { time: n + 1e6 }) }],
    counts: {},
    byTheClock: true,
  },
  {
    about: 'comes two by two: its jitter is what RFC 3550 says, about 20 ms',
    script: (n) => (every(n, 2, 0) ? [] : [{ frame: n - 1 }, { frame: n }]),
    counts: {},
    hasJitter: true,
  },
];

/** A packet that left: when, and its timestamp, both in ms. */
interface Departure {
  atMs: number;
  timestampMs: number;
}

/** Interarrival jitter (RFC 3550, appendix A.8) of packets that arrive as they leave, in ms. */
function jitterOf(departures: readonly Departure[]): number {
  return departures.reduce((jitter, { atMs, timestampMs }, at) => {
    const before = departures[at - 1];
    if (!before) return 0;
    return jitter + (Math.abs(atMs - before.atMs - (timestampMs - before.timestampMs)) - jitter) / 16;
  }, 0);
}

/** Frame n says its number all the time, and is never silence. */
function frameOf(n: number): Uint8Array {
  return Uint8Array.from({ length: FRAME }, (_, at) => 1 + (at % 2 === 0 ? n % 100 : Math.floor(n / 100)));
}

/** What a returned frame is: the number of the caller's frame, or what replaced it. */
function nameOf(frame: Uint8Array): number | 'silence' | 'concealed' {
  if (frame.every((byte) => byte === 0xff)) return 'silence';
  const number = (frame[0] ?? 0) - 1 + 100 * ((frame[1] ?? 0) - 1);
  return Buffer.from(frameOf(number)).equals(frame) ? number : 'concealed';
}

/**
 * From the caller's first frame to the last, without silence: the echo's own playout has inserted
 * some where it ran empty in a pause. The timestamps that the AI gets show that no time is missing.
 */
async function listen(handset: Handset): Promise<(number | string)[]> {
  const heard = () => {
    const audio = handset.audio();
    return Array.from({ length: audio.length / FRAME }, (_, n) =>
      nameOf(audio.subarray(n * FRAME, (n + 1) * FRAME)),
    );
  };
  // Looking earlier would cost time that the packets need.
  await sleep(FRAMES * FRAME_MS);
  await until('the last frame is back', BACK_LIMIT_MS, async () => heard().includes(FRAMES - 1));
  return heard().filter((name) => name !== 'silence');
}

describe('a caller whose audio', { concurrency: true }, () => {
  after(() => stack.leaks.expectNone());
  for (const { about, script, heard, counts, hasJitter, byTheClock } of CASES) {
    test(about, async (t) => {
      const callId = newCallId('caller');
      const departures: Departure[] = [];
      {
        await using handset = await Handset.call(
          { to: ECHO_BOT, callId, address: SECOND_PHONE },
          stack.ports,
        );
        await stack.bot.wait(callId, 'answered');
        handset.onGrid((slot) => {
          if (slot >= FRAMES) return;
          for (const { frame, ssrc = SSRC, sequence = frame, time = frame } of script(slot)) {
            departures.push({ atMs: nowMs(), timestampMs: time * FRAME_MS });
            handset.send({ sequenceNumber: sequence + 1000, timestamp: time * FRAME, ssrc }, frameOf(frame));
          }
        });
        const expected = Array.from({ length: FRAMES }, (_, n) => heard?.(n) ?? n);
        assert.deepEqual(
          await listen(handset),
          expected.filter((name) => name !== 'silence'),
        );
      }
      const { line } = await stack.figures(callId);
      const bot = await stack.bot.wait(callId, 'closed');
      expectNoViolations(bot);
      // The silence that the AI hears before the caller's first packet ends by the clock, not in
      // whole frames.
      assert.ok(bot.media.timestampGaps <= (byTheClock ? 2 : 1), 'the time goes on for the AI');
      const nothing = { packetsReceived: FRAMES, lost: 0, late: 0, duplicates: 0, reordered: 0 };
      assert.partialDeepStrictEqual(line, { ...nothing, concealedFrames: 0, malformed: 0, ...counts });
      if (!hasJitter) return;
      const sentMs = jitterOf(departures);
      t.diagnostic(`jitter of ${sentMs.toFixed(1)} ms sent, ${line.jitterMs?.toFixed(1)} ms counted`);
      expectNear('jitter', line.jitterMs, sentMs, JITTER_MS);
    });
  }

  test('has digits among it, audio even between their last packets: each digit is told once', async () => {
    const callId = newCallId('digits');
    await using handset = await Handset.call({ to: '108', callId, address: SECOND_PHONE }, stack.ports);
    await stack.bot.wait(callId, 'answered');
    let sequence = 0;
    const send = (time: number, payload: Uint8Array, payloadType: number) =>
      handset.send({ sequenceNumber: sequence++, timestamp: time * FRAME, ssrc: SSRC, payloadType }, payload);
    handset.onGrid((slot) => {
      send(slot, frameOf(1), 0);
      const digit = Math.floor(slot / SLOTS_A_DIGIT) - 1;
      const at = slot % SLOTS_A_DIGIT;
      if (digit < 0 || digit >= 3 || at >= 10) return;
      // Six packets while the key is down, three that say that it is up.
      const duration = Math.min(at + 1, 7) * FRAME;
      const event = Uint8Array.of(EVENTS[digit] ?? 0, at < 7 ? 10 : 0x8a, duration >> 8, duration & 0xff);
      send(slot - at, event, 101);
    });
    await sleep(SLOTS_A_DIGIT * 5 * FRAME_MS);
    assert.equal((await stack.bot.wait(callId, 'dtmf')).digits, '5#1');
  });
});
