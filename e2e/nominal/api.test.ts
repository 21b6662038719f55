import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BridgeApi } from '../hands/bridge-api.ts';
import { only } from '../phones/phones.ts';
import { expectBothHeard, expectCleanRtp, expectNoViolations } from '../stack/expect.ts';
import { FINTECH, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
let api: BridgeApi;
before(async () => {
  stack = await Stack.start();
  api = new BridgeApi(stack.ports);
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;
/** From the answer to the bot's first word at the callee's ear: what a person takes for at once. */
const FIRST_WORD_MS = 500;

function order(callId: string, more: object = {}): object {
  return { to: '+91 80 4555-5102', provider: 'pb_fintech', callId, ...more };
}

test('a call placed twice under one id is one INVITE; the bot waits while it rings, and is heard at the answer', async () => {
  const callId = newCallId('api');
  const { events } = await api.follow(callId);
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 4, ringMs: 1500 });
  const first = await api.request(
    'POST',
    '/calls',
    order(callId, { tenant: 'bank', variables: { plan: 'gold' } }),
  );
  assert.equal(first.status, 202);
  const again = await api.request('POST', '/calls', order(callId));
  assert.deepEqual([again.status, again.body.channelId], [200, first.body.channelId]);
  const { calls, messages, errors } = await output;
  const report = only({ calls, messages, errors, exitCode: 0 });
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 3300);
  expectCleanRtp(report);
  const invites = messages.filter(({ sent, startLine }) => !sent && startLine.startsWith('INVITE '));
  assert.equal(invites.length, 1);
  assert.match(report.sip.to, /^sip:\+918045555102@127\.0\.0\.2/);
  assert.match(report.sip.from, /\+918045678000/);
  const { openedAtMs = 0, startedAtMs = 0, answeredAtMs = 0 } = bot;
  assert.ok(startedAtMs - openedAtMs > 1000, `the bot was connected ${startedAtMs - openedAtMs} ms before`);
  assert.ok(answeredAtMs >= startedAtMs);
  assert.partialDeepStrictEqual(bot.start, {
    direction: 'outbound',
    tenant: 'bank',
    to: '+918045555102',
    from: '+918045678000',
    custom_vars: { plan: 'gold' },
  });
  const { sip, inviteToAudioMs = 0 } = report;
  const firstWordMs = inviteToAudioMs - ((sip.answeredAtMs ?? 0) - sip.inviteAtMs);
  console.log(`answer to first word: ${firstWordMs} ms`);
  assert.ok(firstWordMs > 0 && firstWordMs <= FIRST_WORD_MS, `first word ${firstWordMs} ms after the answer`);
  assert.deepEqual(
    (await events).map(({ type }) => type),
    ['call.dialling', 'call.ringing', 'call.answered', 'call.active', 'call.ended'],
  );
  const { body } = await api.request('GET', `/calls/${callId}`);
  assert.partialDeepStrictEqual(body, { state: 'closed', outcome: 'answered', endReason: 'caller-hangup' });
});

for (const { about, status, outcome } of [
  { about: 'busy (486)', status: 486, outcome: 'busy' },
  { about: 'unknown (404)', status: 404, outcome: 'invalid-number' },
]) {
  test(`a number that is ${about}: ${outcome}, and the bot is let go without a start`, async () => {
    const callId = newCallId('api');
    const { events } = await api.follow(callId);
    const { output } = await stack.phones.listen({
      scenario: 'callee-refuses',
      local: LOCAL,
      ringMs: 300,
      status,
    });
    assert.equal((await api.request('POST', '/calls', order(callId))).status, 202);
    const ended = (await events).at(-1)?.call;
    assert.partialDeepStrictEqual(ended, { outcome, endReason: 'not-answered', sipStatus: status });
    assert.equal(only(await output).sip.status, status);
    const bot = await stack.bot.wait(callId, 'closed');
    assert.equal(bot.start, undefined);
    // Before its start nothing is said to a bot: the socket is closed.
    assert.equal(bot.hangup, undefined);
    expectNoViolations(bot);
  });
}

test('nobody answers: no-answer after the ring time', async () => {
  const callId = newCallId('api');
  const { events } = await api.follow(callId);
  const { output } = await stack.phones.listen({ scenario: 'callee-does-not-answer', local: LOCAL });
  await api.request('POST', '/calls', order(callId, { ringTimeoutSeconds: 2 }));
  const all = await events;
  const ended = all.at(-1);
  assert.partialDeepStrictEqual(ended?.call, { outcome: 'no-answer', endReason: 'not-answered' });
  const rangMs = Date.parse(ended?.at ?? '') - Date.parse(all[0]?.at ?? '');
  assert.ok(rangMs > 1800 && rangMs < 3500, `rang for ${rangMs} ms`);
  assert.equal(only(await output).sip.status, 487);
});

test('hung up by the operator while it rings: cancelled', async () => {
  const callId = newCallId('api');
  const { events } = await api.follow(callId);
  const { output } = await stack.phones.listen({ scenario: 'callee-does-not-answer', local: LOCAL });
  await api.request('POST', '/calls', order(callId));
  await until(
    'it rings',
    5000,
    async () => (await api.request('GET', `/calls/${callId}`)).body.state === 'ringing',
  );
  assert.equal((await api.request('DELETE', `/calls/${callId}`)).status, 202);
  const ended = (await events).at(-1)?.call;
  assert.partialDeepStrictEqual(ended, { outcome: 'cancelled', endReason: 'api-hangup' });
  assert.equal(only(await output).sip.status, 487);
});

test('the bridge is started anew while it rings: the same call is known by its id, and taken when it is answered', async () => {
  const callId = newCallId('api');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 3, ringMs: 12_000 });
  const first = await api.request('POST', '/calls', order(callId));
  await until(
    'it rings',
    5000,
    async () => (await api.request('GET', `/calls/${callId}`)).body.state === 'ringing',
  );
  await stack.killPart('bridge');
  await stack.startPart('bridge');
  await stack.ready();
  await sleep(500);
  const again = await api.request('POST', '/calls', order(callId));
  assert.deepEqual([again.status, again.body.channelId], [200, first.body.channelId]);
  const report = only(await output);
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2300);
});
