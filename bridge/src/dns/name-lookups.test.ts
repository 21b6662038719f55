import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test } from 'node:test';
import { NameLookups, type Resolve } from './name-lookups.ts';

const ADDRESS = { address: '192.0.2.1', family: 4 };

/** A resolver that answers when the test says so. */
function resolver() {
  const asked: { name: string; answer: (found?: LookupAddress[] | Error) => void }[] = [];
  const resolve: Resolve = (name, _options, done) => {
    const answer = (found: LookupAddress[] | Error = [ADDRESS]) =>
      found instanceof Error ? done(found, undefined as never) : done(null, found);
    asked.push({ name, answer });
  };
  return { asked, resolve };
}

function ask(names: NameLookups, name: string, all = true): Promise<unknown> {
  return new Promise((resolve, reject) => {
    names.lookup(name, { all }, (error, address, family) =>
      error ? reject(error) : resolve(all ? address : [address, family]),
    );
  });
}

test('no more names than allowed are looked up at a time; the others have their turn, the first one first', async () => {
  const { asked, resolve } = resolver();
  const names = new NameLookups({ atOnce: 2, waitMs: 5_000 }, resolve);
  const found = ['a', 'b', 'c', 'd'].map((name) => ask(names, name));
  assert.deepEqual(
    asked.map(({ name }) => name),
    ['a', 'b'],
  );
  asked[1]?.answer();
  assert.deepEqual(asked.at(-1)?.name, 'c');
  asked[0]?.answer(new Error('no such name'));
  assert.deepEqual(asked.at(-1)?.name, 'd');
  for (const { answer } of asked.slice(2)) answer();
  await assert.rejects(found[0] as Promise<unknown>, /no such name/);
  assert.deepEqual(await Promise.all(found.slice(1)), [[ADDRESS], [ADDRESS], [ADDRESS]]);
});

test('a name is looked up once for all who want it, however they want it told', async () => {
  const { asked, resolve } = resolver();
  const names = new NameLookups({ atOnce: 1, waitMs: 5_000 }, resolve);
  const found = [ask(names, 'a'), ask(names, 'a', false), ask(names, 'b'), ask(names, 'b', false)];
  asked[0]?.answer();
  asked[1]?.answer();
  const single = [ADDRESS.address, ADDRESS.family];
  assert.deepEqual(await Promise.all(found), [[ADDRESS], single, [ADDRESS], single]);
  assert.equal(asked.length, 2);
  const again = ask(names, 'a');
  asked[2]?.answer();
  assert.deepEqual(await again, [ADDRESS]);
});

test('a name that has no turn in time fails, and is not looked up any more', async () => {
  const { asked, resolve } = resolver();
  const names = new NameLookups({ atOnce: 1, waitMs: 20 }, resolve);
  const slow = ask(names, 'slow');
  await assert.rejects(ask(names, 'late'), { code: 'ETIMEOUT' });
  asked[0]?.answer();
  await slow;
  assert.deepEqual(
    asked.map(({ name }) => name),
    ['slow'],
  );
  const after = ask(names, 'late');
  asked[1]?.answer();
  assert.deepEqual(await after, [ADDRESS]);
});
