import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';

/** The nice value of a thread: field 19 of its stat (proc(5)). */
function niceOf(pid: number, thread: number | string): number {
  const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}

test('audio comes before the set-up of calls: the control thread has a lower priority than the media workers', async (t) => {
  const lab = await Lab.start(t);
  const { pid = 0 } = await startProcess(t, lab);
  await until(
    () => niceOf(pid, pid) === niceOf(process.pid, process.pid) + 5,
    'the control thread gives way',
  );
  const workers = readdirSync(`/proc/${pid}/task`).filter((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').startsWith('media'),
  );
  assert.equal(workers.length, 1);
  assert.equal(niceOf(pid, workers[0] as string), niceOf(process.pid, process.pid));
});

test('names that nobody answers for leave threads for others: there are 64', async (t) => {
  const lab = await Lab.start(t);
  const { pid = 0 } = await startProcess(t, lab);
  const names = () =>
    readdirSync(`/proc/${pid}/task`).map((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim(),
    );
  await until(() => names().filter((name) => name === 'libuv-worker').length === 64, `the pool: ${names()}`);
});
