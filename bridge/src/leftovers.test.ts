import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AriChannel, parseChannel } from './ari/model.ts';
import { findLeftovers } from './leftovers.ts';

const inStasis = (id: string): AriChannel => parseChannel({ id, dialplan: { app_name: 'Stasis' } });
const NOTHING = { callers: new Set<string>(), media: new Set<string>(), bridges: new Set<string>() };

test('media channels and bridges of ours without a call are left over, those of others are not', () => {
  const holdings = {
    channels: [inStasis('pcm-1'), inStasis('pcm-2'), inStasis('other')],
    bridgeIds: ['pcb-1', 'pcb-2', 'conference'],
    appChannelIds: new Set<string>(),
  };
  const owned = { ...NOTHING, media: new Set(['pcm-2']), bridges: new Set(['pcb-2']) };
  const left = findLeftovers(holdings, owned);
  assert.deepEqual(left, { bridgeIds: ['pcb-1'], mediaChannelIds: ['pcm-1'], waiting: [] });
});

test('a caller waits who is in our app, in Stasis, and in no call', () => {
  const inDialplan = parseChannel({ id: 'c3', dialplan: { app_name: 'Playback' } });
  const holdings = {
    channels: [inStasis('c1'), inStasis('c2'), inDialplan, inStasis('of-another-app')],
    bridgeIds: [],
    appChannelIds: new Set(['c1', 'c2', 'c3']),
  };
  const left = findLeftovers(holdings, { ...NOTHING, callers: new Set(['c2']) });
  assert.deepEqual(
    left.waiting.map(({ id }) => id),
    ['c1'],
  );
});
