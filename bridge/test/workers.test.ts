/** Slow on purpose: `make test` runs it, `make check` does not. */
// This file runs in a process of its own.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { getPriority, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { Lab, speech, until } from './harness.ts';

Lab.endsThreads = true;

/** The media workers that this process has started: of our threads the only ones with a limit. */
const workers: Worker[] = [];
process.on('worker', (worker) => {
  if (worker.resourceLimits?.maxYoungGenerationSizeMb === 6) workers.push(worker);
});

const inspector = new Session();
inspector.connect();
after(() => inspector.disconnect());

/**
 * Evaluates an expression in the live media workers. Uses the inspector, since the bridge has no
 * such message.
 */
async function evaluate(count: number, expression: string): Promise<void> {
  const attached: string[] = [];
  const onAttached = ({ params }: { params: { sessionId: string; workerInfo: { url: string } } }) => {
    if (/media\/media-thread\.ts$/.test(params.workerInfo.url)) attached.push(params.sessionId);
  };
  inspector.on('NodeWorker.attachedToWorker', onAttached);
  await inspector.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  await until(() => attached.length >= count, 'attached to the workers');
  inspector.off('NodeWorker.attachedToWorker', onAttached);
  const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } });
  for (const sessionId of attached)
    await inspector.post('NodeWorker.sendMessageToWorker', { sessionId, message });
  await inspector.post('NodeWorker.disable');
}

/** Priorities (nice) of the threads that carry media, by their name. */
function workerPriorities(): number[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
    // After the name in brackets: the state is field 3, nice is field 19 (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return stat.includes('(media)') ? [Number(fields[16])] : [];
  });
}

test('a worker that dies is replaced, and its calls go on there, with their bot connected again', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '2' } });
  assert.equal(workers.length, 2);
  const calls = [await lab.call(), await lab.call()];
  await workers[0]?.terminate();
  const diedMs = performance.now();
  const next = await until(
    () => lab.bot.sessions[2]?.of('answered').length === 1 && lab.bot.sessions[2],
    'again',
  );
  await until(() => next.of('media').length > 0, 'audio again');
  t.diagnostic(`audio again after ${Math.round(performance.now() - diedMs)} ms`);
  assert.ok(performance.now() - diedMs < 2_000, `after ${performance.now() - diedMs} ms`);
  const [start] = next.of('start');
  assert.equal(start?.reconnected, true);
  const died = calls.find(({ channel }) => channel.id === start?.channel_id);
  assert.ok(died !== undefined);
  assert.notEqual(died.session.closed, undefined);
  assert.equal(await lab.metric('media_workers_replaced_total'), 1);
  const spared = calls.find((call) => call !== died) as (typeof calls)[0];
  // Both are heard, and hear: one by a media channel that was made anew.
  for (const [{ channel }, session] of [
    [died, next],
    [spared, spared.session],
  ] as const) {
    const rtp = lab.ari.mediaOf(channel.id);
    const said = speech(5, 3);
    session.speak(speech(2));
    await until(() => rtp.speech().length >= 320, 'heard by the caller');
    for (let at = 0; at < said.length; at += 160) rtp.send(said.subarray(at, at + 160));
    await until(() => session.audio().includes(said), 'heard by the bot');
  }
  assert.equal([...lab.ari.channels.keys()].filter((id) => id.startsWith('pcm-')).length, 2);
  assert.equal(lab.logged('call ended').length, 0);
  // Two more calls: the replacement takes its share.
  const more = [await lab.call(), await lab.call()];
  for (const call of [...calls, ...more]) lab.ari.hangUp(call.channel.id);
  const ended = await lab.ended(3);
  assert.equal(ended.reason.kind, 'caller-hangup');
});

test('a call under which workers die again and again is given up', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
  const { channel } = await lab.call();
  const first = workers.length;
  for (let died = 0; died < 3; died++) {
    await until(
      () => workers.length === first + died && (lab.bot.sessions[died]?.of('media').length ?? 0) > 0,
      'relayed',
    );
    await workers.at(-1)?.terminate();
  }
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'media-failed');
  assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
});

test('a recording that was paused goes on paused, in a file of its own', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'recordings-'));
  t.after(() => rm(folder, { recursive: true }));
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1', RECORDINGS_DIR: folder } });
  const { channel, session } = await lab.call({ variables: { X_RECORD: 'on' } });
  await until(() => session.of('recording').length > 0, 'recorded');
  session.send({ event: 'recording', state: 'pause' });
  await until(() => session.of('recording').at(-1)?.state === 'paused', 'paused');
  await workers.at(-1)?.terminate();
  const next = await lab.session(1);
  await until(() => next.of('recording').length > 0, 'recorded again');
  assert.equal(next.of('recording').at(-1)?.state, 'paused');
  assert.equal((await readdir(folder)).length, 2);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a replaced worker has the priority of the first, whatever that of control is by then', async (t) => {
  const before = getPriority();
  try {
    // Up again is what takes a right.
    setPriority(0, before + 1);
    setPriority(0, before);
  } catch {
    return t.skip('not allowed to raise a priority');
  }
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
  await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
  setPriority(0, before + 5);
  try {
    await workers.at(-1)?.terminate();
    await until(async () => (await lab.metric('media_workers_replaced_total')) === 1, 'replaced');
    const { channel } = await lab.call();
    const nice = workerPriorities();
    assert.deepEqual(nice, [before]);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  } finally {
    setPriority(0, before);
  }
});

test('an exception in a worker costs nobody the call, and a report that cannot be made nothing at all', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
  const { channel } = await lab.call();
  await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
  await evaluate(1, "process.memoryUsage = () => { throw new Error('EMFILE: too many open files') }");
  await delay(1_500);
  assert.equal(await lab.metric('media_workers_replaced_total'), 0);
  await evaluate(1, "setTimeout(() => { throw new Error('a defect') })");
  const next = await lab.session(1);
  await until(() => next.of('media').length > 0, 'audio again');
  assert.match(String(lab.logged('media opened anew')[0]?.detail), /a defect/);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

for (const speaks of [true, false]) {
  test(`a bot that ${speaks ? 'spoke' : 'said nothing'} before its worker died, and closes after it, was ${speaks ? '' : 'not '}there`, async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
    const { channel, session } = await lab.call();
    if (speaks) {
      session.speak(speech(2));
      await until(() => lab.ari.mediaOf(channel.id).speech().length > 0, 'heard');
    }
    await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
    await workers.at(-1)?.terminate();
    const next = await lab.session(1);
    await until(() => next.of('answered').length > 0, 'goes on');
    next.close(1000);
    assert.equal((await lab.ended()).reason.kind, speaks ? 'bot-closed' : 'bot-unavailable');
  });
}

test('a worker that hangs is ended and replaced', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
  const { channel } = await lab.call();
  await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
  const hangsMs = performance.now();
  await evaluate(1, 'setTimeout(() => { for (;;) {} })');
  const next = await lab.session(1);
  await until(() => next.of('media').length > 0, 'audio again');
  t.diagnostic(`audio again after ${Math.round(performance.now() - hangsMs)} ms`);
  assert.match(String(lab.logged('media opened anew')[0]?.detail), /did not react for 5 s/);
  assert.equal(await lab.metric('media_workers_replaced_total'), 1);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('a worker that dies while events are away costs nobody the call, however often: its bot is back when they are', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1', ARI_TIMEOUT_MS: '500' } });
  const { channel } = await lab.call();
  for (let time = 1; time <= 3; time++) {
    await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
    lab.ari.refusesEvents = true;
    lab.ari.dropEvents();
    await until(async () => (await lab.get('/readyz')).status === 503, 'not ready');
    await workers.at(-1)?.terminate();
    // Longer than a media channel may take to enter Stasis.
    await delay(1_000);
    assert.equal(lab.bot.sessions.length, time, 'no bot is connected to nobody');
    lab.ari.refusesEvents = false;
    const next = await lab.session(time);
    await until(() => next.of('media').length > 0, 'audio again');
  }
  assert.deepEqual(lab.logged('call ended'), []);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('events that go while a media channel is made anew cost nobody the call', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1', ARI_TIMEOUT_MS: '500' } });
  const { channel } = await lab.call();
  await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
  let cuts = 0;
  lab.ari.before(/^POST \/channels\/externalMedia/, () => {
    cuts += 1;
    if (cuts > 1) return undefined;
    lab.ari.refusesEvents = true;
    lab.ari.dropEvents();
    setTimeout(() => (lab.ari.refusesEvents = false), 1_000);
    return undefined;
  });
  await workers.at(-1)?.terminate();
  // The bot of the first try is let go again: its media channel was hung up.
  const next = await lab.session(2);
  await until(() => next.of('media').length > 0, 'audio again');
  assert.equal(cuts, 2);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  assert.equal(lab.bot.attempts, 3);
});
