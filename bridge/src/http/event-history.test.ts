import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventHistory, parseEventId } from './event-history.ts';

const since = (history: EventHistory, id: string) => history.since(parseEventId(id))?.map(({ data }) => data);

/** A process with some events. */
function history(process: string, ...events: string[]): EventHistory {
  const made = new EventHistory(process);
  for (const data of events) made.add('call.started', data);
  return made;
}

function tell(from: EventHistory, to: EventHistory): void {
  for (const event of from.shared) to.addShared(event);
  to.meet(from.process);
}

test('a listener of a predecessor gets what it missed there, and all of the new process', () => {
  const old = history('old', 'a', 'b');
  const young = history('young', 'x');
  tell(old, young);
  old.add('call.ended', 'c');
  young.add('call.ended', 'y');
  tell(old, young);
  assert.deepEqual(since(young, 'old-1'), ['x', 'b', 'y', 'c']);
  assert.deepEqual(since(young, 'old-3'), ['x', 'y']);
  assert.deepEqual(since(young, 'young-3'), ['y', 'c'], 'from its own id on, in its order');
});

test('an event that a listener had before it came to the new process is not missed', () => {
  const old = history('old', 'a');
  const young = history('young');
  tell(old, young);
  assert.deepEqual(since(young, 'old-2'), []);
});

test('what is told twice, or by two predecessors, is one event with all its ids', () => {
  const first = history('first', 'a', 'b');
  const second = history('second');
  tell(first, second);
  second.add('call.started', 'm');
  const third = history('third');
  tell(first, third);
  tell(second, third);
  tell(second, third);
  assert.deepEqual(since(third, 'first-0'), ['a', 'b', 'm']);
  assert.deepEqual(since(third, 'second-1'), ['b', 'm']);
  assert.deepEqual(since(third, 'first-2'), ['m']);
});

test('what is not known is told as a gap', () => {
  const young = history('young', 'x');
  for (const id of ['nobody-1', 'young-2', 'young', '', 'a-b-1'])
    assert.equal(since(young, id), undefined, id);
  young.meet('old');
  assert.deepEqual(since(young, 'old-0'), ['x'], 'one that has had no event yet');
  for (let i = 0; i < 4_000; i += 1) young.add('call.started', String(i));
  assert.equal(since(young, 'old-0'), undefined, 'too much has happened since');
});
