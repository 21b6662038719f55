import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { END_REASONS } from '../src/call/end-reason.ts';

const folder = new URL('./', import.meta.url).pathname;
const tests = globSync('*.test.ts', { cwd: folder }).map((file) => readFileSync(`${folder}${file}`, 'utf8'));

/** A line that expects this reason of a call that the real daemon has ended. */
const expects = (kind: string) => new RegExp(`(reason(\\.kind)?,|endReason:) '${kind}'`);

for (const kind of END_REASONS) {
  test(`some test here ends a call by ${kind}`, () => {
    assert.ok(
      tests.some((text) => expects(kind).test(text)),
      `no test in bridge/test expects the end reason ${kind}`,
    );
  });
}
