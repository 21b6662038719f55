/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';
import { answering, CONFIG, successor, taken } from './http-successor.ts';

/** All counters of the bridge, and the counts of its histograms, by name and labels. */
async function counters(lab: Lab): Promise<Map<string, number>> {
  const { body } = await lab.get('/metrics');
  const lines = body.split('\n').filter((line) => /^pipecat_bridge_\w*(_total|_count|_bucket)\b/.test(line));
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]));
}

test('the metrics are the sums of both processes, and no counter goes down when the old one ends', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const ended = 'pipecat_bridge_calls_ended_total{reason="caller-hangup",by="caller",direction="inbound"}';
  const { channel: over } = await first.call();
  first.ari.hangUp(over.id);
  await first.ended();
  const { channel: old } = await first.call();
  const before = await answering(first);
  const scrapes = [await counters(first)];
  const second = await successor(t, first);
  await taken(second);
  await until(async () => (await answering(second)) !== before, 'the new process answers');
  scrapes.push(await counters(second));
  assert.deepEqual([await second.metric('calls_active'), await second.metric('predecessors')], [1, 1]);
  const young = first.ari.inbound();
  await second.session();
  await until(async () => (await second.metric('calls_active')) === 2, 'the calls of both');
  first.ari.hangUp(young.id);
  await second.ended();
  scrapes.push(await counters(second));
  assert.equal(scrapes.at(-1)?.get(ended), 2, 'one of each');
  // Nobody asks between this end and that of the process.
  first.ari.hangUp(old.id);
  await first.ended(1);
  await first.stop();
  scrapes.push(await counters(second));
  assert.equal(scrapes.at(-1)?.get(ended), 3);
  const claims = () => [...first.ari.globals.variables.keys()].filter((name) => name.includes('pipecat-'));
  await until(() => claims().length === 0, 'the new process knows that the old one is gone');
  assert.equal(await second.metric('predecessors'), 0);
  scrapes.push(await counters(second));
  for (const [i, scrape] of scrapes.entries())
    for (const [name, value] of scrapes[i - 1] ?? [])
      assert.ok(
        (scrape.get(name) ?? -1) >= value,
        `${name} of scrape ${i}: ${scrape.get(name)} after ${value}`,
      );
  const { body } = await second.get('/metrics');
  assert.equal(body.match(/^process_cpu_seconds_total/gm)?.length, 1);
});

test('a third process has what the first two counted', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const ended = async (lab: Lab) =>
    [...(await counters(lab))].find(([name]) => name.includes('calls_ended_total'))?.[1];
  const { channel } = await first.call();
  first.ari.hangUp(channel.id);
  await first.ended();
  // It does not look again who lives before it hands over itself.
  const second = await successor(t, first, { ARI_HEARTBEAT_MS: '5000' });
  await taken(second);
  await first.stop();
  const third = await successor(t, first, { HTTP_PORT: String(second.daemon.httpPort) });
  await taken(third);
  await until(async () => (await ended(third)) === 1, 'the call of the first');
  await second.stop();
  await until(async () => (await third.metric('predecessors')) === 0, 'gone');
  assert.equal(await ended(third), 1);
});

test('a process that is killed: what it had counted at the last scrape stays', async (t) => {
  const lab = await Lab.start(t, { config: CONFIG });
  const { child } = await startProcess(t, lab, CONFIG);
  const over = lab.ari.inbound();
  await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  lab.ari.hangUp(over.id);
  const second = await Lab.start(t, { config: { ...CONFIG, ARI_URL: `http://127.0.0.1:${lab.ari.port}` } });
  const ended = async () =>
    [...(await counters(second))].find(([name]) => name.includes('calls_ended_total'))?.[1];
  await until(async () => (await ended()) === 1, 'the call of the first');
  child.kill('SIGKILL');
  // Longer than the new process takes to know that the old one is gone.
  for (let i = 0; i < 15; i += 1) {
    assert.equal(await ended(), 1);
    await delay(100);
  }
});
