/** Slow on purpose: `make test` runs it, `make check` does not. */
import { test } from 'node:test';
import fc from 'fast-check';
import { allTargets } from './targets.ts';

/** A short round, another seed each time: a failure prints the seed and the path that repeat it. */
const RUNS = 500;

for (const { name, property } of await allTargets()) {
  test(`fuzz: ${name}`, async () => {
    await fc.assert(property as fc.IAsyncProperty<unknown>, { numRuns: RUNS });
  });
}
