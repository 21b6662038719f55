import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ActiveApps } from '../ari/active-apps.ts';
import type { AriClient } from '../ari/client.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession } from '../media/session.ts';
import type { EndReason } from './end-reason.ts';
import { Ending } from './ending.ts';
import type { MediaPath } from './media-path.ts';
import { MediaTroubles } from './media-troubles.ts';

/** A call whose media is opened anew, and its media channel made, as the test says. */
function troubled(
  reopen: (time: number) => Promise<void>,
  lay: (time: number) => Promise<void> = async () => {},
) {
  const apps = new ActiveApps(() => 'app');
  apps.opened('app');
  const clock = { ms: 0 };
  const ending = new Ending();
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
      await lay(renewals);
    },
    build: () => lay(0),
  };
  const media = {
    reopen: async () => {
      await reopen(++reopened);
      done.push('open');
    },
    relays: true,
    connectBot: async () => {
      done.push('bot');
    },
    startRelay: () => done.push('relay'),
    abandon: (detail: string) => void troubles.workerDied(detail),
  };
  const troubles: MediaTroubles = new MediaTroubles({
    ari: { apps, farEndCounts: () => delay(100, {}) } as unknown as AriClient,
    channelId: 'c',
    path: path as unknown as MediaPath,
    transport: 'websocket',
    limitMs: 1_000,
    ending,
    lost: (reason) => ended.push(reason),
    needsMedia: () => needsMedia,
    warn: () => {},
    media: () => media as unknown as MediaSession,
    isLive: () => !ending.isOver,
    now: () => clock.ms,
    isQuiet: () => false,
    isBack: () => {},
  });
  return {
    troubles,
    media: media as unknown as MediaSession,
    ended,
    done,
    apps,
    clock,
    ending,
    letBotGo: () => (needsMedia = false),
  };
}

test('the media channel of a worker that died is missed by nobody, however long another worker takes to begin', async () => {
  const { troubles, ended, done } = troubled(() => delay(900));
  const recovered = troubles.workerDied('died');
  await Promise.all([troubles.channelGone(), recovered]);
  assert.deepEqual({ ended, done }, { ended: [], done: ['open', 'bot', 'relay'] });
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
  assert.deepEqual({ ended, done }, { ended: [], done: ['open', 'bot', 'relay'] });
});

test('media that is lost three times with minutes between is opened anew each time, and three times at once not', async () => {
  const { troubles, ended, clock } = troubled(async () => {});
  for (let time = 1; time <= 5; time++) {
    await troubles.workerDied('the media socket closed');
    clock.ms += 40_000;
  }
  assert.deepEqual(ended, []);
  clock.ms += 60_000;
  for (let time = 1; time <= 3; time++) await troubles.workerDied('died');
  assert.deepEqual(ended, [{ kind: 'media-failed', detail: 'died, then: too often under this call' }]);
});

test('media that is lost while events are away is opened when they are back, with its bot, however often', async () => {
  const { troubles, ended, done, apps } = troubled(async () => {});
  for (let time = 1; time <= 4; time++) {
    apps.socketClosed('app');
    const recovered = troubles.workerDied('died');
    await delay(50);
    assert.deepEqual(done, []);
    apps.opened('app');
    await recovered;
    assert.deepEqual(done.splice(0), ['open', 'bot', 'relay']);
  }
  assert.deepEqual(ended, []);
});

test('events go while the media channel is made: other media is opened when they are back', async () => {
  const { troubles, ended, done, apps } = troubled(
    async () => {},
    async (time) => {
      if (time > 1) return;
      apps.socketClosed('app');
      await delay(20);
      throw new Error('the media channel did not enter Stasis in time');
    },
  );
  await troubles.workerDied('died');
  await delay(50);
  assert.deepEqual(done.splice(0), ['open', 'bot']);
  // The comparison after the outage may find that the first media channel is gone.
  await troubles.channelGone();
  apps.opened('app');
  await troubles.settled();
  assert.deepEqual({ ended, done }, { ended: [], done: ['open', 'bot', 'relay'] });
});

test('events that were away while the media channel was made, and are back: other media is opened at once', async () => {
  const { troubles, ended, done, apps } = troubled(
    async () => {},
    async (time) => {
      if (time > 1) return;
      apps.socketClosed('app');
      apps.opened('app');
      throw new Error('the media channel did not enter Stasis in time');
    },
  );
  await troubles.workerDied('died');
  await troubles.settled();
  assert.deepEqual({ ended, done }, { ended: [], done: ['open', 'bot', 'open', 'bot', 'relay'] });
});

test('a media channel that cannot be made while events arrive ends the call', async () => {
  const { troubles, ended } = troubled(
    async () => {},
    () => Promise.reject(new Error('no')),
  );
  await troubles.workerDied('died');
  assert.deepEqual(ended, [{ kind: 'media-failed', detail: 'died, then: no' }]);
});

test('events go while a call is set up: its media channel is made anew when they are back', async () => {
  const laid: number[] = [];
  const { troubles, media, apps } = troubled(
    async () => {},
    async (time) => {
      laid.push(time);
      if (time > 0) return;
      apps.socketClosed('app');
      throw new Error('the media channel did not enter Stasis in time');
    },
  );
  const built = troubles.buildPath(media, () => {}, []);
  await delay(50);
  assert.deepEqual(laid, [0]);
  apps.opened('app');
  await built;
  assert.deepEqual(laid, [0, 1]);
});

test('a call that ends while events are away waits for them no longer', async () => {
  const { troubles, ended, done, apps, ending } = troubled(async () => {});
  apps.socketClosed('app');
  const recovered = troubles.workerDied('died');
  await delay(50);
  ending.end({ kind: 'caller-hangup' });
  await recovered;
  apps.opened('app');
  await delay(50);
  assert.deepEqual({ ended, done }, { ended: [], done: [] });
});
