import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AriChannel } from '../ari/model.ts';
import { TALK_IS_OVER } from '../call/adopted-talk.ts';
import { AdoptableCalls } from './adoption.ts';
import { Arrivals, type ArrivalsContext } from './arrivals.ts';

for (const why of ['shutdown', 'merged'] as const) {
  test(`a caller who is given back (${why}) leaves no talk for a later call`, () => {
    const adoptable = new AdoptableCalls();
    adoptable.setTalk('1.1', TALK_IS_OVER);
    const released: string[] = [];
    const context = {
      adoptable,
      others: { all: new Map(), answered: () => undefined },
      ids: { isMerged: () => why === 'merged', claim: () => true },
      reports: { refused: () => {} },
      background: { run: () => {} },
      pendingReleases: { release: async (id: string) => void released.push(id) },
      admission: { refusal: 'shutdown', adoptionRefusal: why === 'shutdown' ? 'shutdown' : undefined },
      config: { providers: new Map() },
    } as unknown as ArrivalsContext;
    const channel = {
      id: '1.1',
      name: 'PJSIP/acme-1',
      state: 'Up',
      protocol_id: 'sip',
      channelvars: {},
      caller: { number: '1', name: '' },
      connected: { number: '2', name: '' },
      dialplan: { exten: '3' },
    } as unknown as AriChannel;
    new Arrivals(context).offer(channel, []);
    assert.deepEqual(released, ['1.1']);
    assert.equal(adoptable.talks.size, 0);
  });
}
