import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecoveryBudget } from './recovery-budget.ts';

test('a third recovery within a minute is one too many', () => {
  const budget = new RecoveryBudget();
  assert.deepEqual(
    [0, 30_000, 59_999].map((ms) => budget.spend(ms)),
    [true, true, false],
  );
});

test('recoveries with minutes between them have no limit', () => {
  const budget = new RecoveryBudget();
  for (let ms = 0; ms < 3_600_000; ms += 30_000) assert.equal(budget.spend(ms), true, `at ${ms} ms`);
});
