/**
 * Runs all targets for a long time: `node fuzz/main.ts MINUTES [SEED]`. Prints inputs and seeds.
 * Exits with 1 if a property was broken, and prints how to repeat it.
 */
import fc from 'fast-check';
import { allTargets } from './targets.ts';

const RUNS_A_ROUND = 20_000;
const MINUTES_MAX = 24 * 60;

const minutes = Number(process.argv[2] ?? 1);
const firstSeed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
if (!(minutes > 0 && minutes <= MINUTES_MAX && Number.isInteger(firstSeed))) {
  process.stderr.write(`usage: node fuzz/main.ts MINUTES [SEED] (up to ${MINUTES_MAX} minutes)\n`);
  process.exit(2);
}
const deadline = performance.now() + minutes * 60_000;
const targets = await allTargets();
const inputs = new Map(targets.map(({ name }) => [name, 0]));
let broken = 0;
let seed = firstSeed;
// Every target gets the same share of the time, a slice of it each round.
for (; performance.now() < deadline && broken === 0; seed++) {
  for (const { name, property } of targets) {
    const sliceMs = Math.max(50, (deadline - performance.now()) / targets.length);
    const limits = { interruptAfterTimeLimit: Math.min(sliceMs, 10_000), markInterruptAsFailure: false };
    const result = await fc.check(property as fc.IAsyncProperty<unknown>, {
      ...limits,
      numRuns: RUNS_A_ROUND,
      seed,
    });
    inputs.set(name, (inputs.get(name) ?? 0) + result.numRuns);
    if (!result.failed) continue;
    broken++;
    process.stdout.write(`BROKEN ${name}, seed ${seed}\n${fc.defaultReportMessage(result)}\n`);
  }
}
for (const [name, count] of inputs) process.stdout.write(`${name}: ${count} inputs\n`);
const total = [...inputs.values()].reduce((sum, count) => sum + count, 0);
process.stdout.write(`${total} inputs, seeds ${firstSeed} to ${seed - 1}, ${broken} broken\n`);
process.exitCode = broken === 0 ? 0 : 1;
