import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ProcessLock } from './process-lock.ts';

test('a process that has its lock again is not dead', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'process-lock-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const other = new ProcessLock(directory, 'b');
  t.after(() => other.close());
  assert.equal(other.isDead('a'), false, 'nothing is known of it');
  // As the end of its thread leaves it: the file, and no lock.
  writeFileSync(join(directory, 'process-a.lock'), '');
  assert.equal(other.isDead('a'), true);
  const again = new ProcessLock(directory, 'a');
  t.after(() => again.close());
  assert.deepEqual([other.isAlive('a'), other.isDead('a')], [true, false]);
});
