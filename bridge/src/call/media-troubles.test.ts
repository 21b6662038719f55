import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession } from '../media/session.ts';
import type { EndReason } from './end-reason.ts';
import { Ending } from './ending.ts';
import type { MediaPath } from './media-path.ts';
import { MediaTroubles } from './media-troubles.ts';

/** A call whose media is opened anew as the test says. */
function troubled(reopen: (time: number) => Promise<void>) {
  const ended: EndReason[] = [];
  const done: string[] = [];
  let reopened = 0;
  let renewals = 0;
  let needsMedia = true;
  const path = {
    mediaChannelId: 'pcm-0',
    mediaDied() {},
    async renew() {
      renewals += 1;
      this.mediaChannelId = `pcm-${renewals}`;
    },
  };
  const media = {
    reopen: () => reopen(++reopened),
    relays: true,
    connectBot: async () => {},
    startRelay: () => done.push('relay'),
  };
  const troubles = new MediaTroubles({
    ari: { farEndCounts: () => delay(100, {}) } as unknown as AriClient,
    channelId: 'c',
    path: path as unknown as MediaPath,
    transport: 'websocket',
    limitMs: 1_000,
    ending: new Ending(),
    lost: (reason) => ended.push(reason),
    needsMedia: () => needsMedia,
    warn: () => {},
    media: () => media as unknown as MediaSession,
    isLive: () => true,
    isQuiet: () => false,
    isBack: () => {},
  });
  return { troubles, ended, done, letBotGo: () => (needsMedia = false) };
}

test('the media channel of a worker that died is missed by nobody, however long another worker takes to begin', async () => {
  const { troubles, ended, done } = troubled(() => delay(900));
  const recovered = troubles.workerDied('died');
  await Promise.all([troubles.channelGone(), recovered]);
  assert.deepEqual({ ended, done }, { ended: [], done: ['relay'] });
});

test('a media channel that ends with its worker alive ends the call', async () => {
  const { troubles, ended } = troubled(async () => {});
  await troubles.channelGone();
  assert.deepEqual(ended, [{ kind: 'media-failed', detail: 'the media channel ended' }]);
});

test('a media channel that ends just before the call goes on without its bot does not end it', async () => {
  const { troubles, ended, letBotGo } = troubled(async () => {});
  const done = troubles.channelGone();
  await delay(100);
  letBotGo();
  await done;
  assert.deepEqual(ended, []);
});

test('a time-out of media that is opened anew meanwhile is none', async () => {
  const { troubles, ended } = troubled(async () => {});
  troubles.audioCeased();
  const timedOut = troubles.timedOut();
  await Promise.all([timedOut, troubles.workerDied('died')]);
  assert.deepEqual(ended, []);
  troubles.audioCeased();
  await troubles.timedOut();
  assert.deepEqual(ended, [{ kind: 'media-timeout' }]);
});

test('a worker that cannot be replaced does not end a call that goes on without its bot', async () => {
  const { troubles, ended, letBotGo } = troubled(() =>
    delay(100).then(() => Promise.reject(new Error('no'))),
  );
  const done = troubles.workerDied('died');
  letBotGo();
  await done;
  assert.deepEqual(ended, []);
});

test('where the worker that takes a call dies too, the next one takes it', async () => {
  const died = Promise.withResolvers<void>();
  const { troubles, ended, done } = troubled((time) => (time === 1 ? died.promise : delay(50)));
  const first = troubles.workerDied('died');
  await delay(50);
  // As the pool does: what is asked fails, and the session is told.
  died.reject(new MediaError('worker-died', 'died'));
  const second = troubles.workerDied('died again');
  await Promise.all([first, second]);
  assert.deepEqual({ ended, done }, { ended: [], done: ['relay'] });
});
