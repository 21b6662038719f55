import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { type Due, OverdueWatch } from './overdue.ts';

function watch() {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) });
  const due: Due[] = [];
  const overdue = new OverdueWatch(log);
  overdue.stop();
  overdue.add(() => due);
  return { overdue, due, lines };
}

test('what has not ended a minute after it was first due is counted and logged once', () => {
  const { overdue, due, lines } = watch();
  overdue.look(0);
  due.push({ kind: 'task', key: {}, facts: { what: 'reconcile' } });
  overdue.look(5_000);
  overdue.look(64_999);
  assert.equal(overdue.count('task'), 0);
  overdue.look(65_000);
  overdue.look(70_000);
  assert.deepEqual([overdue.count('task'), overdue.total], [1, { call: 0, channel: 0, task: 1 }]);
  assert.deepEqual(lines, [{ level: 50, kind: 'task', what: 'reconcile', forS: 60, msg: 'does not end' }]);
});

test('when it ends after all, the log says so, and it is overdue no more', () => {
  const { overdue, due, lines } = watch();
  due.push({ kind: 'channel', key: {}, facts: { channelId: 'c' } });
  for (const nowMs of [0, 60_000]) overdue.look(nowMs);
  due.pop();
  overdue.look(65_000);
  assert.deepEqual([overdue.count('channel'), overdue.total.channel], [0, 1]);
  assert.deepEqual(lines[1], { level: 30, kind: 'channel', channelId: 'c', msg: 'has ended after all' });
});

test('another thing of the same name has a minute of its own', () => {
  const { overdue, due } = watch();
  const task = () => ({ kind: 'task', key: {}, facts: { what: 'reconcile' } }) as const;
  due.push(task());
  overdue.look(0);
  due.splice(0, 1, task());
  overdue.look(59_000);
  overdue.look(61_000);
  assert.equal(overdue.count('task'), 0);
});
