import assert from 'node:assert/strict';
import { Session } from 'node:inspector/promises';
import { after, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { Lab, speech, until } from './harness.ts';

/** The media workers that this process has started: of our threads the only ones with a limit. */
const workers: Worker[] = [];
process.on('worker', (worker) => {
  if (worker.resourceLimits?.maxYoungGenerationSizeMb === 6) workers.push(worker);
});

const inspector = new Session();
inspector.connect();
after(() => inspector.disconnect());

/** Makes the media workers that are alive loop for ever; by the inspector, since no message of ours would do that. */
async function hang(count: number): Promise<void> {
  const attached: string[] = [];
  inspector.on('NodeWorker.attachedToWorker', ({ params }) => {
    if (/media\/worker\.ts$/.test(params.workerInfo.url)) attached.push(params.sessionId);
  });
  await inspector.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  await until(() => attached.length >= count, 'attached to the workers');
  const message = JSON.stringify({
    id: 1,
    method: 'Runtime.evaluate',
    params: { expression: 'for (;;) {}' },
  });
  for (const sessionId of attached)
    await inspector.post('NodeWorker.sendMessageToWorker', { sessionId, message });
}

test('a worker that dies ends its own calls only, with their reason, and is replaced', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '2' } });
  assert.equal(workers.length, 2);
  const first = await lab.call();
  const second = await lab.call();
  await workers[0]?.terminate();
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'media-failed');
  const died = ended.channelId === first.channel.id ? first : second;
  const spared = died === first ? second : first;
  assert.equal(died.channel.variables.PIPECAT_STATUS, 'media-failed');
  assert.equal(await lab.metric('media_workers_replaced'), 1);
  spared.session.speak(speech(2));
  spared.session.send({ event: 'mark', name: 'heard' });
  await until(() => spared.session.of('mark').length === 1, 'the other call goes on');
  // Two more calls: the replacement takes its share.
  const more = [await lab.call(), await lab.call()];
  for (const call of [spared, ...more]) lab.ari.hangUp(call.channel.id);
  await lab.ended(3);
});

test('a worker that hangs is ended and replaced', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_WORKERS: '1' } });
  const { channel } = await lab.call();
  await until(async () => (await lab.metric('media_heap_bytes')) > 0, 'the first report');
  await hang(1);
  const ended = await lab.ended();
  assert.deepEqual(
    [ended.reason.kind, ended.reason.detail],
    ['media-failed', 'the media worker died: the thread did not react for 5 s'],
  );
  assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
  await until(async () => (await lab.metric('media_workers_replaced')) === 1, 'replaced');
  const next = await lab.call();
  lab.ari.hangUp(next.channel.id);
  await lab.ended(1);
});
