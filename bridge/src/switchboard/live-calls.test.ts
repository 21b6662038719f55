import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AriChannel } from '../ari/model.ts';
import { CallIds } from '../call/call-ids.ts';
import { CallsElsewhere } from './calls-elsewhere.ts';
import { LiveCalls } from './live-calls.ts';
import type { Originated } from './originated.ts';

const DIALS = 1_000;

test('who is looked for by an id costs one record, however many dials are under way', () => {
  let built = 0;
  const dials = new Map<string, Originated>();
  const ids = new CallIds((channelId) => dials.has(channelId));
  for (let i = 0; i < DIALS; i++) {
    const channel: AriChannel = {
      id: `1763800000.${i}`,
      name: `PJSIP/pb-${String(i).padStart(8, '0')}`,
      state: 'Ringing',
      protocol_id: '',
      caller: { number: '' },
      connected: { number: '' },
      dialplan: { context: '', exten: '', app_name: '', app_data: '' },
      channelvars: { X_CALL_ID: `order-${i}` },
    };
    dials.set(channel.id, {
      channel,
      dialled: '+4930111222',
      // Only a record asks for it.
      get ringing() {
        built += 1;
        return true;
      },
      isForwarded: false,
      sinceMs: 0,
      ids,
      before: undefined,
    });
  }
  const live = new LiveCalls(new Map(), dials, new CallsElsewhere());
  assert.equal(live.record(`order-${DIALS - 1}`)?.channelId, `1763800000.${DIALS - 1}`);
  assert.equal(live.record('1763800000.5')?.callId, 'order-5');
  assert.equal(live.record('nobody'), undefined);
  assert.equal(built, 2);
});
