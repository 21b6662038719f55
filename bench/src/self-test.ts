/** Tries the meter: what is done to the bare relay must show in the figures, and nothing else. */
import assert from 'node:assert/strict';
import { readOptions } from './options.ts';
import { type RunResult, runRelay } from './run.ts';

const CALLS = 5;
/** A busy machine has sound seconds too. */
const TRIES = 3;
const options = { ...readOptions(process.env), seconds: 4 };

async function figures(faults: readonly string[]): Promise<NonNullable<RunResult['report']>> {
  let refused: string | undefined;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const result = await runRelay(options, { calls: CALLS, workers: 1 }, 'echo', faults);
    if (result.report !== undefined) return result.report;
    refused = result.refused;
  }
  throw new Error(`the machine is too busy for this: ${refused}`);
}

const clean = await figures([]);
assert.equal(clean.up.arrived, clean.up.sent, 'a sound relay loses nothing upwards');
assert.equal(clean.down.arrived, clean.down.sent, 'a sound relay loses nothing downwards');
assert.equal(clean.up.corrupt + clean.down.corrupt + clean.up.duplicates + clean.down.duplicates, 0);
assert.equal(clean.down.rtpLost + clean.down.rtpJumps, 0);
console.log(`sound relay: nothing lost of ${clean.up.sent + clean.down.sent} frames`);

const lossy = await figures(['--drop', '50']);
const loss = 1 - lossy.up.arrived / lossy.up.sent;
assert.ok(loss > 0.01 && loss < 0.03, `2 % were dropped, ${loss} were seen`);
assert.ok(lossy.down.rtpLost > 0, 'a packet that is not sent leaves a hole in the sequence numbers');
console.log(`every 50th frame dropped: ${(100 * loss).toFixed(2)} % seen as lost upwards`);

const stalling = await figures(['--stall', '70']);
assert.ok((stalling.down.pacingMs.max ?? 0) > 45, 'a stall of 70 ms shows in the pacing');
assert.ok(stalling.up.gaps >= 2 * CALLS, 'and as gaps at the bots');
assert.equal(stalling.up.arrived, stalling.up.sent, 'but not as loss');
console.log(
  `70 ms of standstill each second: pacing off by up to ${stalling.down.pacingMs.max?.toFixed(0)} ms, ${stalling.up.gaps} gaps`,
);
