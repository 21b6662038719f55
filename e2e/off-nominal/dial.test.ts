import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CallbackReceiver } from '../callbacks.ts';
import { only } from '../phones.ts';
import { FINTECH, PROVIDER_PORT } from '../ports.ts';
import { newCallId, Stack } from '../stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

// Asterisk shows the app's arguments only once a call is answered: until then the id comes from X_CALL_ID.
const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;

for (const { about, phone, status, outcome, cause } of [
  { about: 'busy (486)', phone: { status: 486 }, status: 'busy', outcome: 'busy', cause: '17' },
  { about: 'unknown (404)', phone: { status: 404 }, status: 'error', outcome: 'invalid-number', cause: '1' },
  { about: 'declining (603)', phone: { status: 603 }, status: 'error', outcome: 'rejected', cause: '21' },
  { about: 'unavailable (480)', phone: { status: 480 }, status: 'no-answer', outcome: 'no-answer' },
  { about: 'out of service (503)', phone: { status: 503 }, status: 'error', outcome: 'unreachable' },
]) {
  test(`a number that is ${about}: the callback says ${status}, and no AI is called`, async () => {
    await using callbacks = await CallbackReceiver.listen();
    const callId = newCallId('dial');
    const { output } = await stack.phones.listen({
      scenario: 'callee-refuses',
      local: LOCAL,
      ringMs: 100,
      ...phone,
    });
    const channel = await stack.ari.originate({
      to: '777102@pb_fintech',
      callId,
      variables: { X_CALL_ID: callId, X_CALLBACK_URL: callbacks.url },
    });
    const { fields } = await callbacks.next();
    assert.partialDeepStrictEqual(fields, { call_sid: channel.id, call_id: callId, status, outcome });
    if (cause !== undefined) assert.equal(fields.cause, cause);
    assert.equal(only(await output).sip.status, phone.status);
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
  await stack.ari.request('DELETE', `/channels/${channel.id}`);
  assert.notEqual((await callbacks.next()).fields.status, 'completed');
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
