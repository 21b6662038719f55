/** What is left of a call afterwards, and what survives the bridge. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CallbackReceiver } from '../hands/callbacks.ts';
import { CALLER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { only } from '../phones/phones.ts';
import { heardMs } from '../sipp/stream.ts';
import { expectNear } from '../stack/expect.ts';
import { FINTECH, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;

test('a callee who hangs up: the record and the callback say so, with all times in order', async () => {
  await using callbacks = await CallbackReceiver.listen();
  const callId = newCallId('callee-ends');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 2, ringMs: 500 });
  await stack.ari.originate({
    to: '777102@pb_fintech',
    callId,
    variables: { X_CALL_ID: callId, X_CALLBACK_URL: callbacks.url },
  });
  assert.partialDeepStrictEqual((await callbacks.next()).fields, { status: 'completed', cause: '16' });
  assert.equal(only(await output).sip.endedBy, 'us');
  const record = await stack.record(callId);
  assert.partialDeepStrictEqual(record, {
    outcome: 'answered',
    endReason: 'caller-hangup',
    endedBy: 'caller',
    cause: 16,
    dialect: 'native',
    encoding: 'pcmu',
    transport: 'rtp',
  });
  const { offered, answered, botReady, firstBotAudio, ended } = record.times;
  const inOrder = [offered, answered, botReady, firstBotAudio, ended];
  assert.deepEqual(inOrder, [...inOrder].sort());
  // It rang that long.
  assert.ok(Date.parse(answered ?? '') - Date.parse(offered ?? '') >= 450, `${offered} ${answered}`);
  assert.ok((record.media?.packetsReceived ?? 0) > 80, JSON.stringify(record.media));
});

test('an AI that hangs up: the record names it', async () => {
  const callId = newCallId('bot-ends');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 20 });
  await stack.ari.originate({ to: '777107@pb_fintech', callId, variables: { X_CALL_ID: callId } });
  assert.equal(only(await output).sip.endedBy, 'them');
  const record = await stack.record(callId);
  assert.partialDeepStrictEqual(record, { outcome: 'answered', endReason: 'bot-hangup', endedBy: 'bot' });
});

test('early media is no answer: the call begins, and the AI is called, when the callee picks up', async () => {
  const callId = newCallId('early');
  const { output } = await stack.phones.listen({
    scenario: 'callee-early',
    local: LOCAL,
    ringMs: 1500,
    seconds: 2,
  });
  await stack.ari.originate({ to: '777102@pb_fintech', callId, variables: { X_CALL_ID: callId } });
  const bot = await stack.bot.wait(callId, 'closed');
  only(await output);
  const { times, ...record } = await stack.record(callId);
  assert.partialDeepStrictEqual(record, { outcome: 'answered', endReason: 'caller-hangup' });
  assert.ok(
    Date.parse(times.answered ?? '') - Date.parse(times.offered ?? '') >= 1400,
    JSON.stringify(times),
  );
  assert.ok(bot.requestedAtMs >= Date.parse(times.answered ?? ''), 'the AI hears of it on answer');
});

test('a receiver that is down gets its callback later, from the next bridge', async () => {
  const callId = newCallId('receiver-down');
  const receiver = await CallbackReceiver.listen();
  const { port, url } = receiver;
  await receiver[Symbol.asyncDispose]();
  const { output } = await stack.phones.listen({ scenario: 'callee-refuses', local: LOCAL, status: 486 });
  await stack.ari.originate({
    to: '777102@pb_fintech',
    callId,
    variables: { X_CALL_ID: callId, X_CALLBACK_URL: url },
  });
  await output;
  await until('the callback waits', 5000, async () => {
    const failed = await stack.metric('pipecat_bridge_callbacks_failed_tries_total');
    return (failed ?? 0) > 0;
  });
  await stack.stopPart('bridge');
  await using later = await CallbackReceiver.listen(port);
  await stack.startPart('bridge');
  const { fields, signature } = await later.next();
  assert.partialDeepStrictEqual(fields, { call_id: callId, status: 'busy', sip_status: '486' });
  assert.match(signature ?? '', /^sha256=/);
  await stack.ready();
  await until('it is not sent again', 5000, async () => {
    return (await stack.metric('pipecat_bridge_callbacks_pending')) === 0;
  });
  assert.equal(later.received.length, 1);
});

test('a bridge that is killed in mid-call: its next start takes the callee over, under the same record', async () => {
  const callId = newCallId('killed');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 25 });
  await stack.ari.originate({ to: '777102@pb_fintech', callId, variables: { X_CALL_ID: callId } });
  await stack.bot.wait(callId, 'sound');
  await stack.killPart('bridge');
  await stack.startPart('bridge');
  await stack.ready();
  only(await output);
  await until('the call taken over has its end', 10_000, async () => {
    return (await stack.record(callId)).endReason === 'caller-hangup';
  });
  const { calls } = await stack.api('/calls?number=777102&limit=10');
  assert.deepEqual(
    calls.filter((record) => record.callId === callId).map(({ to, endReason }) => [to, endReason]),
    [['777102', 'caller-hangup']],
  );
});

test('a bridge that is killed while two talk after a transfer: they hear each other all the time, and its next start ends the call with them', async () => {
  const callId = newCallId('killed-talk');
  const seconds = 14;
  const callee = { local: `${TRUNK}:${PROVIDER_PORT}`, tone: SECOND_HZ, ringMs: 300, seconds };
  const { output } = await stack.phones.listen(callee);
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 30, local: TRUNK });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  await stack.bot.send(callId, { event: 'transfer', to: '+4930777' });
  await stack.bot.wait(callId, 'closed');
  await stack.killPart('bridge');
  await stack.startPart('bridge');
  await stack.ready();
  await until('the next bridge has the call', 5000, async () => {
    const { calls } = await stack.api('/calls?limit=10');
    return calls.some((record) => record.callId === callId && record.state === 'active');
  });
  const second = only(await output);
  const caller = await call;
  assert.deepEqual(
    [second.sip.endedBy, caller.sip.endedBy],
    ['us', 'them'],
    'nobody was hung up before the end',
  );
  // SIPp's own stop and start apart, both heard the other from the answer to the end.
  expectNear('the callee heard the caller', heardMs(second.heard, CALLER_HZ), seconds * 1000, 400);
  expectNear('the caller heard the callee', heardMs(caller.heard, SECOND_HZ), seconds * 1000, 400);
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1, 'no bot is sought anew');
  const record = await stack.record(callId);
  assert.partialDeepStrictEqual(record, { endReason: 'transferred', endedBy: 'bot', state: 'closed' });
});
