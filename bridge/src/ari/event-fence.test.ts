import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventFence } from './event-fence.ts';

function fence(send: (name: string) => Promise<void>, limitMs = 1_000): EventFence {
  return new EventFence({ instance: 'a1', send, limitMs });
}

test('it is done when the mark of its own comes back, not with another', async () => {
  const sent: string[] = [];
  const events = fence(async (name) => void sent.push(name));
  const order: string[] = [];
  const first = events.passed().then(() => order.push('first'));
  const second = events.passed().then(() => order.push('second'));
  assert.equal(new Set(sent).size, 2);
  for (const name of ['a1-1', 'b2-mark-1', sent[1], sent[0], sent[0]]) {
    events.heard(name ?? '');
    await new Promise(setImmediate);
  }
  await Promise.all([first, second]);
  assert.deepEqual(order, ['second', 'first']);
});

test('a mark that comes back before its request is replied to counts', async () => {
  const events: EventFence = fence(async (name) => events.heard(name));
  await events.passed();
});

test('it is never done where Asterisk refuses, is behind, or the connection ends', async () => {
  await assert.rejects(fence(() => Promise.reject(new Error('no such app'))).passed(), /no such app/);
  await assert.rejects(fence(async () => {}, 10).passed(), /behind/);
  const events = fence(async () => {});
  const waiting = events.passed();
  events.close();
  await assert.rejects(waiting);
  await assert.rejects(events.passed(), /has ended/);
});
