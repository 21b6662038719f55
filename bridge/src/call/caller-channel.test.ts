import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import { CallerChannel } from './caller-channel.ts';
import { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';

test('DTMF digits that wait go to the channel that has replaced the caller’s', async () => {
  const sent: string[] = [];
  const done = async () => {};
  const ari = {
    sendDtmf: async (channelId: string, digits: string) => void sent.push(`${channelId} ${digits}`),
    subscribe: done,
    dropComfortNoise: done,
    addToBridge: done,
  };
  const caller = new CallerChannel({
    ari: ari as unknown as AriClient,
    info: { channelId: 'first' } as CallInfo,
    bridgeId: 'bridge',
    ending: new Ending(),
    warn: (error) => assert.fail(error),
  });
  caller.dtmf('1w2');
  caller.dtmf('3');
  await delay(20);
  caller.replacedBy('second');
  await delay(1_200);
  assert.deepEqual(sent, ['first 1', 'second 2', 'second 3']);
});
