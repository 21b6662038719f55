/** Slow on purpose: `make test` runs it, `make check` does not. */
// This file runs in a process of its own.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';

/** The nice value of a thread: field 19 of its stat (proc(5)). */
function niceOf(pid: number, thread: number | string): number {
  const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}

/** Ids of the threads that carry media, by their name. */
function mediaThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).filter((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').startsWith('media');
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

/**
 * Users who may not raise a priority (setpriority(2)): not root, as in a container without
 * capabilities.
 */
const NOBODY = 65_534;

/**
 * A module for each thread. A media worker (the only type of thread with a limit) ends as `code`
 * says when it finds the file.
 */
const deadly = (file: string, code: string): string => `
  import { unlinkSync } from 'node:fs';
  import { resourceLimits } from 'node:worker_threads';
  if (resourceLimits.maxYoungGenerationSizeMb === 6) setInterval(() => {
    try { unlinkSync(${JSON.stringify(file)}) } catch { return }
    ${code}
  }, 20).unref();`;

for (const { how, code } of [
  { how: 'throws', code: "throw new Error('a defect')" },
  { how: 'ends by itself', code: 'process.exit(3)' },
  { how: 'hangs', code: 'for (;;) {}' },
]) {
  test(`where nobody may raise a priority: a worker that ${how} is replaced by one that has its own, and its call goes on`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'deadly-'));
    t.after(() => rmSync(folder, { recursive: true }));
    chmodSync(folder, 0o777);
    const order = join(folder, 'die');
    const module = `data:text/javascript,${encodeURIComponent(deadly(order, code))}`;
    const lab = await Lab.start(t);
    const identity = process.getuid?.() === 0 ? { uid: NOBODY } : {};
    const { child } = await startProcess(t, lab, { NODE_OPTIONS: `--import ${module}` }, identity);
    const pid = child.pid ?? 0;
    const nice = niceOf(process.pid, process.pid);
    await until(() => niceOf(pid, pid) === nice + 5, 'the control thread gives way');
    const { channel } = await lab.call();
    const [first = ''] = mediaThreads(pid);
    writeFileSync(order, '');
    const next = await lab.session(1);
    await until(() => next.of('media').length > 0, 'audio again');
    assert.equal(next.of('start')[0]?.reconnected, true);
    const [second = '', ...more] = mediaThreads(pid);
    assert.deepEqual(more, []);
    assert.notEqual(second, first);
    assert.equal(niceOf(pid, second), nice);
    lab.ari.hangUp(channel.id);
    await until(() => lab.ari.bridges.size + lab.ari.channels.size === 0, 'all given back');
    await until(() => lab.bot.sessions.every(({ closed }) => closed !== undefined), 'bots released');
  });
}

test('audio comes before the set-up of calls: the control thread has a lower priority than the media workers', async (t) => {
  const lab = await Lab.start(t);
  const { child } = await startProcess(t, lab);
  const pid = child.pid ?? 0;
  await until(
    () => niceOf(pid, pid) === niceOf(process.pid, process.pid) + 5,
    'the control thread gives way',
  );
  const workers = mediaThreads(pid);
  assert.equal(workers.length, 1);
  assert.equal(niceOf(pid, workers[0] as string), niceOf(process.pid, process.pid));
});

test('names that nobody answers for leave threads for others: there are 64', async (t) => {
  const lab = await Lab.start(t);
  const { child } = await startProcess(t, lab);
  const pid = child.pid ?? 0;
  const names = () =>
    readdirSync(`/proc/${pid}/task`).map((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim(),
    );
  await until(() => names().filter((name) => name === 'libuv-worker').length === 64, `the pool: ${names()}`);
});
