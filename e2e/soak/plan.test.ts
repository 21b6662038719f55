import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACT_KINDS, CALL_KINDS } from './kinds.ts';
import { ACTS_A_ROUND, actsOf, callsOf, type SoakOptions } from './plan.ts';

const options: SoakOptions = { minutes: 1, calls: 2, seed: 7 };

test('a seed gives the same calls and acts each time, and another seed gives others', () => {
  const all = (seed: number) => ({
    calls: callsOf(1, { ...options, seed })
      .take(50)
      .toArray(),
    acts: actsOf({ ...options, seed })
      .take(50)
      .toArray(),
  });
  assert.deepEqual(all(7), all(7));
  assert.notDeepEqual(all(7), all(8));
});

test('each line has calls of its own, whatever the others do', () => {
  const names = (line: number) =>
    callsOf(line, options)
      .take(20)
      .map(({ kind }) => kind.name)
      .toArray();
  assert.notDeepEqual(names(1), names(2));
});

test('ids are unique', () => {
  const ids = [1, 2, 3].flatMap((line) =>
    callsOf(line, options)
      .take(100)
      .map(({ id }) => id)
      .toArray(),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test('the first round has each kind of act once; processes are replaced in each eighth round', () => {
  const names = actsOf(options)
    .take(12 * ACTS_A_ROUND)
    .map(({ kind }) => kind.name)
    .toArray();
  assert.deepEqual(names.slice(0, ACTS_A_ROUND).sort(), ACT_KINDS.map(({ name }) => name).sort());
  const next = names.indexOf('handover', names.indexOf('handover') + 1);
  const others = ACT_KINDS.filter(({ replaces }) => !replaces).length;
  assert.ok(next >= ACTS_A_ROUND + 7 * others, `the second handover is act ${next}`);
});

test('what is planned lies within the limits of its kind', () => {
  for (const { kind, lastsMs } of actsOf(options).take(500))
    assert.ok(lastsMs >= kind.minMs && lastsMs <= kind.maxMs, kind.name);
  for (const { deedMs, talkMs } of callsOf(1, options).take(500)) assert.ok(deedMs <= talkMs);
});

test('every kind of call occurs', () => {
  const seen = new Set(
    callsOf(1, options)
      .take(2_000)
      .map(({ kind }) => kind.name),
  );
  assert.deepEqual([...seen].sort(), CALL_KINDS.map(({ name }) => name).sort());
});

test('names are unique', () => {
  for (const kinds of [ACT_KINDS, CALL_KINDS])
    assert.equal(new Set(kinds.map(({ name }) => name)).size, kinds.length);
});
