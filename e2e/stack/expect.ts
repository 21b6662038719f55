/** What the tests expect of sound and RTP. */
import assert from 'node:assert/strict';
import type { BotCall } from '../hands/bot.ts';
import { CALLER_HZ, MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import type { WitnessedCall } from '../phones/phones.ts';
import type { CallReport } from '../sipp/report.ts';
import { gaps, heardMs, type StreamReport } from '../sipp/stream.ts';

/**
 * Limits of the spacing's deviation, beyond that of SIPp's own packets in the same call, which is
 * the machine's.
 */
const SPACING_P50_MS = 3;
const SPACING_P99_MS = 20;
/**
 * Ticks of the 20 ms grid that a call may miss, beyond those at which SIPp or the tests' metronome
 * got no CPU time either.
 */
const MISSED_TICKS = 1;
/**
 * An AI that sends in real time, one message ahead, may itself be this late and is still heard
 * without a gap.
 */
const LEAD_MS = 40;

/**
 * The caller was answered, and each end heard the other for at least `ms`, and no echo of itself.
 */
export function expectBothHeard(report: CallReport, bot: BotCall, ms: number): void {
  assert.equal(report.sip.status, 200);
  const atCaller = heardMs(report.heard, MARKER_HZ);
  const atBot = bot.media.heardMs[CALLER_HZ] ?? 0;
  assert.ok(atCaller >= ms, `the caller heard the AI for ${atCaller} of ${ms} ms`);
  assert.ok(atBot >= ms, `the AI heard the caller for ${atBot} of ${ms} ms`);
  assert.equal(heardMs(report.heard, CALLER_HZ), 0, 'the caller heard himself');
  assert.equal(bot.media.heardMs[MARKER_HZ] ?? 0, 0, 'the AI heard itself');
  expectNoViolations(bot);
}

/** The bot found no fault in the bridge's messages (docs/BOTS.md). */
export function expectNoViolations(bot: BotCall): void {
  assert.deepEqual(bot.violations, []);
}

/**
 * RTP to the caller: one source, each packet exactly once and in order, 20 ms apart, timestamps on
 * the grid. After a missed tick the timestamp grows by one packet more.
 */
export function expectCleanRtp({ heard, spoke, machineStalls }: WitnessedCall): void {
  assert.equal(heard.ssrcs.length, 1, `SSRCs ${heard.ssrcs}`);
  assert.deepEqual([heard.lost, heard.duplicates, heard.reordered, heard.notRtp], [0, 0, 0, 0]);
  const steps = JSON.stringify(heard.timestampSteps);
  assert.ok(
    heard.leaps.every(({ ms }) => ms > 0 && ms % 20 === 0),
    `timestamps off the grid: ${steps}`,
  );
  const when = (times: readonly number[]) => times.map((ms) => Math.round(ms % 100_000)).join(' ');
  assert.ok(
    heard.leaps.length <= MISSED_TICKS + machineStalls.length,
    `ticks were missed at ${when(heard.leaps.map(({ atMs }) => atMs))} ms, and the machine stalled at ${when(machineStalls.map(({ endAtMs }) => endAtMs))} ms`,
  );
  const machine = spoke.spacingDeviationMs;
  const { p50, p99 } = heard.spacingDeviationMs;
  assert.ok(
    p50 <= SPACING_P50_MS + machine.p50,
    `half of the packets are more than ${p50} ms off their time`,
  );
  assert.ok(
    p99 <= SPACING_P99_MS + machine.p99,
    `one packet in a hundred is more than ${p99} ms off its time`,
  );
}

/**
 * No silence from its first sound to its last, unless the AI that sends in real time was itself
 * this late.
 */
export function expectGapless(stream: StreamReport, bot?: BotCall): void {
  const late = bot?.sent.worstLateMs ?? 0;
  const unexcused = gaps(stream).filter(({ audioMs }) => late < LEAD_MS || audioMs > late);
  assert.deepEqual(unexcused, [], `the AI was at most ${late} ms late`);
}

/** `actual` is `expected`, give or take. */
export function expectNear(
  what: string,
  actual: number | undefined,
  expected: number,
  tolerance: number,
): void {
  const near = actual !== undefined && Math.abs(actual - expected) <= tolerance;
  assert.ok(near, `${what}: ${actual} instead of ${expected} (± ${tolerance})`);
}
