import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CallbackReceiver } from '../hands/callbacks.ts';
import { only } from '../phones/phones.ts';
import { FINTECH, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

// Asterisk shows the app's arguments only once a call is answered: until then the id comes from
// X_CALL_ID.
const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;

const REFUSES = 'callee-refuses';
for (const { about, sipStatus, scenario, status, outcome, cause } of [
  { about: 'busy (486)', sipStatus: 486, scenario: REFUSES, status: 'busy', outcome: 'busy', cause: 17 },
  {
    about: 'busy after early media (183, 486)',
    sipStatus: 486,
    scenario: 'callee-refuses-early',
    status: 'busy',
    outcome: 'busy',
    cause: 17,
  },
  { about: 'busy (600)', sipStatus: 600, scenario: REFUSES, status: 'busy', outcome: 'busy' },
  {
    about: 'unknown (404)',
    sipStatus: 404,
    scenario: REFUSES,
    status: 'error',
    outcome: 'invalid-number',
    cause: 1,
  },
  {
    about: 'incomplete (484)',
    sipStatus: 484,
    scenario: REFUSES,
    status: 'error',
    outcome: 'invalid-number',
  },
  {
    about: 'declining (603)',
    sipStatus: 603,
    scenario: REFUSES,
    status: 'error',
    outcome: 'rejected',
    cause: 21,
  },
  { about: 'forbidden (403)', sipStatus: 403, scenario: REFUSES, status: 'error', outcome: 'rejected' },
  {
    about: 'unavailable (480)',
    sipStatus: 480,
    scenario: REFUSES,
    status: 'no-answer',
    outcome: 'no-answer',
  },
  { about: 'not acceptable (488)', sipStatus: 488, scenario: REFUSES, status: 'error', outcome: 'failed' },
  {
    about: 'out of service (503)',
    sipStatus: 503,
    scenario: REFUSES,
    status: 'error',
    outcome: 'unreachable',
  },
]) {
  test(`a number that is ${about}: the callback says ${status}, the record ${outcome}, and no AI is called`, async () => {
    await using callbacks = await CallbackReceiver.listen();
    const callId = newCallId('dial');
    const { output } = await stack.phones.listen({
      scenario,
      local: LOCAL,
      ringMs: 500,
      status: sipStatus,
    });
    const channel = await stack.ari.originate({
      to: '777102@pb_fintech',
      callId,
      variables: { X_CALL_ID: callId, X_CALLBACK_URL: callbacks.url },
    });
    const { fields } = await callbacks.next();
    const told = { call_sid: channel.id, call_id: callId, status, outcome, sip_status: String(sipStatus) };
    assert.partialDeepStrictEqual(fields, told);
    if (cause !== undefined) assert.equal(fields.cause, String(cause));
    const record = await stack.record(callId);
    assert.partialDeepStrictEqual(record, {
      channelId: channel.id,
      provider: 'pb_fintech',
      direction: 'outbound',
      to: '777102',
      state: 'closed',
      endReason: 'not-answered',
      outcome,
      sipStatus,
      cause: Number(fields.cause),
    });
    assert.equal(record.times.answered, undefined);
    assert.equal(only(await output).sip.status, sipStatus);
    assert.deepEqual(await stack.bot.calls({ call_id: callId }), []);
    assert.equal(callbacks.received.length, 1);
  });
}

test('nobody answers: the callback says no-answer after the ring time, and no AI is called', async () => {
  await using callbacks = await CallbackReceiver.listen();
  const callId = newCallId('no-answer');
  const { output } = await stack.phones.listen({ scenario: 'callee-does-not-answer', local: LOCAL });
  await stack.ari.originate({
    to: '777102@pb_fintech',
    callId,
    timeout: 2,
    variables: { X_CALL_ID: callId, X_CALLBACK_URL: callbacks.url },
  });
  assert.partialDeepStrictEqual((await callbacks.next()).fields, {
    call_id: callId,
    status: 'no-answer',
    outcome: 'no-answer',
  });
  assert.partialDeepStrictEqual(await stack.record(callId), {
    outcome: 'no-answer',
    endReason: 'not-answered',
  });
  const { sip } = only(await output);
  assert.deepEqual([sip.status, sip.endedBy], [487, 'them']);
  assert.deepEqual(await stack.bot.calls({ call_id: callId }), []);
});

test('the channel is hung up through ARI while it rings: nobody is called, nothing is left', async () => {
  await using callbacks = await CallbackReceiver.listen();
  const callId = newCallId('withdrawn');
  const { output } = await stack.phones.listen({ scenario: 'callee-does-not-answer', local: LOCAL });
  const channel = await stack.ari.originate({
    to: '777102@pb_fintech',
    callId,
    variables: { X_CALL_ID: callId, X_CALLBACK_URL: callbacks.url },
  });
  const path = `/channels/${channel.id}`;
  await until('it rings', 5000, async () => {
    const { state } = (await stack.ari.request('GET', path)) as { state: string };
    return state === 'Ringing';
  });
  await stack.ari.request('DELETE', path);
  assert.notEqual((await callbacks.next()).fields.status, 'completed');
  assert.partialDeepStrictEqual(await stack.record(callId), { outcome: 'cancelled', cause: 16 });
  await output;
  assert.deepEqual(await stack.bot.calls({ call_id: callId }), []);
});

test('the AI refuses an outbound call that was answered: the callee is hung up on', async () => {
  const callId = newCallId('outbound-refused');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 20 });
  await stack.ari.originate({ to: '777110@pb_fintech', callId });
  const { sip } = only(await output);
  assert.equal(sip.endedBy, 'them');
});
