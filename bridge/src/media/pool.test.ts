import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Logger } from '../log.ts';
import type { MakeWorker, WorkerEvents } from './make-worker.ts';
import { MediaPool } from './pool.ts';
import type { WorkerStats } from './worker-messages.ts';

/** A pool whose workers report once, and end as the test says. */
function pool(terminate: (events: WorkerEvents) => Promise<unknown>) {
  const errors: string[] = [];
  const make: MakeWorker = (_, events) => {
    queueMicrotask(() => events.onMessage({ type: 'stats', stats: {} as WorkerStats }));
    return { postMessage() {}, terminate: () => terminate(events) };
  };
  const log = { error: (about: unknown, text = String(about)) => errors.push(text) } as unknown as Logger;
  return {
    media: new MediaPool(
      { workers: 2, rtpPortMin: 20_000, rtpPortMax: 20_019, botConnectsPerSecond: 50 },
      log,
      make,
    ),
    errors,
  };
}

test('a worker whose thread does not end is not waited for: the stop goes on, and says so', async () => {
  const { media, errors } = pool(() => new Promise(() => {}));
  await media.close();
  assert.equal(media.hanging, true);
  assert.deepEqual(errors, ['media workers hang: their threads did not end']);
});

test('workers that end in time leave nothing to wait for', async () => {
  const { media, errors } = pool(async ({ onEnd }) => onEnd(new Error('ended')));
  await media.close();
  assert.equal(media.hanging, false);
  assert.deepEqual(errors, []);
});
