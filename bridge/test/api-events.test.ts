import assert from 'node:assert/strict';
import { test } from 'node:test';
import { API_TOKEN, api, listen, type SentEvent } from './api-client.ts';
import { Lab, until } from './harness.ts';

const names = (received: readonly SentEvent[]) => received.map(({ event }) => event);

test('every change of a call is told, in order, with the call as it is then', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { received, stop } = await listen(lab);
  t.after(stop);
  const { channel } = await lab.call({ from: '+4917012345' });
  lab.ari.hangUp(channel.id);
  await until(() => names(received).includes('call.ended'), 'the end');
  assert.deepEqual(names(received), ['call.started', 'call.answered', 'call.active', 'call.ended']);
  const [started, , , ended] = received;
  assert.partialDeepStrictEqual(started?.data, { type: 'call.started', call: { state: 'setup' } });
  assert.partialDeepStrictEqual(ended?.data, {
    type: 'call.ended',
    call: { state: 'closed', from: '+4917012345', endReason: 'caller-hangup' },
  });
  assert.ok(Date.parse(ended?.data.at) >= Date.parse(started?.data.at));
});

test('the dials of others are told too', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { received, stop } = await listen(lab);
  t.after(stop);
  const channel = lab.ari.originate({ variables: { X_CALL_ID: 'theirs' } });
  lab.ari.dialFails(channel, 'BUSY', 17, 486);
  await until(() => names(received).includes('call.ended'), 'the end');
  assert.deepEqual(names(received), ['call.dialling', 'call.ringing', 'call.ended']);
  assert.partialDeepStrictEqual(received.at(-1)?.data.call, {
    callId: 'theirs',
    outcome: 'busy',
    sipStatus: 486,
    endReason: 'not-answered',
  });
});

test('who comes back with the last id gets what happened since; who comes with a strange one is told of the gap', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const first = await listen(lab);
  const { channel } = await lab.call();
  await until(() => first.received.length === 3, 'three events');
  first.stop();
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const again = await listen(lab, first.received[1]?.id);
  t.after(again.stop);
  await until(() => again.received.length === 2, 'two events');
  assert.deepEqual(names(again.received), ['call.active', 'call.ended']);
  assert.deepEqual(again.received[0], first.received[2]);
  for (const strange of ['other-1', 'nonsense', '-', `${first.received[0]?.id?.split('-')[0]}-999999`]) {
    const { received, stop } = await listen(lab, strange);
    t.after(stop);
    await until(() => received.length > 0, 'the gap');
    assert.equal(received[0]?.event, 'call.gap', strange);
    assert.equal(received[0]?.id, undefined);
  }
});

test('listeners are counted while they listen (one that does not read: src/http/event-stream.test.ts)', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { stop } = await listen(lab);
  assert.equal(await lab.metric('event_streams'), 1);
  assert.equal(await lab.metric('event_streams_dropped_total'), 0);
  stop();
  await until(async () => (await lab.metric('event_streams')) === 0, 'it is gone');
});

test('a stream ends with the bridge, whose stop waits for no listener', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { stop } = await listen(lab);
  t.after(stop);
  const stopped = performance.now();
  await lab.stop();
  assert.ok(performance.now() - stopped < 2_000, `${performance.now() - stopped} ms`);
  await assert.rejects(api(lab, 'GET', '/calls'));
});
