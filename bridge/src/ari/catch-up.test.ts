import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CatchUp } from './catch-up.ts';

function catchUp(send: (name: string) => Promise<void>, limitMs = 1_000): CatchUp {
  return new CatchUp({ instance: 'a1', send, limitMs });
}

test('it is done when the mark of its own comes back, not with another', async () => {
  const sent: string[] = [];
  const events = catchUp(async (name) => void sent.push(name));
  const order: string[] = [];
  const first = events.done().then(() => order.push('first'));
  const second = events.done().then(() => order.push('second'));
  assert.equal(new Set(sent).size, 2);
  for (const name of ['a1-1', 'b2-mark-1', sent[1], sent[0], sent[0]]) {
    events.heard(name ?? '');
    await new Promise(setImmediate);
  }
  await Promise.all([first, second]);
  assert.deepEqual(order, ['second', 'first']);
});

test('a mark that comes back before its request is replied to counts', async () => {
  const events: CatchUp = catchUp(async (name) => events.heard(name));
  await events.done();
});

test('it is never done where Asterisk refuses, is behind, or the connection ends', async () => {
  await assert.rejects(catchUp(() => Promise.reject(new Error('no such app'))).done(), /no such app/);
  await assert.rejects(catchUp(async () => {}, 10).done(), /behind/);
  const events = catchUp(async () => {});
  const waiting = events.done();
  events.close();
  await assert.rejects(waiting);
  await assert.rejects(events.done(), /has ended/);
});
