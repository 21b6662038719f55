/** What happens in Asterisk while the bridge is not told of it: the comparison with Asterisk makes it good. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AriProxy, type Cut } from '../ari-proxy.ts';
import type { BotCall } from '../bot.ts';
import { BridgeApi } from '../bridge-api.ts';
import { expectBothHeard, expectNoViolations } from '../expect.ts';
import { SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { only } from '../phones.ts';
import { FINTECH, PORTS, PROVIDER_PORT, TRUNK } from '../ports.ts';
import { heardMs } from '../sipp/stream.ts';
import { newCallId, Stack, until } from '../stack.ts';

const RECONCILE_MS = 1000;
const OUTAGE_MS = 4000;

let proxy: AriProxy;
let stack: Stack;
let api: BridgeApi;
before(async () => {
  proxy = await AriProxy.listen(PORTS);
  stack = await Stack.start({ bridge: { ARI_URL: proxy.url, RECONCILE_MS: `${RECONCILE_MS}` } });
  api = new BridgeApi(stack.ports);
});
after(async () => {
  await stack?.stop();
  await proxy?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  proxy.mend();
  await stack.ready();
  await stack.leaks.expectNone();
});

/** Cuts the line for so long, or until something has come to pass; resolves when the bridge has found back. */
async function outage(cut: Cut = {}, during: () => Promise<unknown> = () => sleep(OUTAGE_MS)): Promise<void> {
  proxy.cut(cut);
  await until('the bridge is without events', 5000, async () => (await stack.readiness()).status === 503);
  await during();
  assert.equal((await stack.readiness()).status, 503, 'the line was cut all the time');
  proxy.mend();
  await stack.ready();
}

async function state(callId: string): Promise<string> {
  return (await api.request('GET', `/calls/${callId}`)).body.state;
}

const told = (bot: BotCall | undefined, status: string): boolean =>
  bot?.events.some((event) => event.event === 'transfer' && event.status === status) ?? false;

test('a callee answers while the events are away: the call becomes active, and both are heard', async () => {
  const callId = newCallId('answered-unseen');
  const { output } = await stack.phones.listen({
    ...{ local: `${FINTECH}:${PROVIDER_PORT}`, ringMs: 2000, seconds: 8 },
  });
  const order = { to: '+918045555102', provider: 'pb_fintech', callId };
  assert.equal((await api.request('POST', '/calls', order)).status, 202);
  await until('it rings', 5000, async () => (await state(callId)) === 'ringing');
  await outage();
  await until('the call is active', 3000, async () => (await state(callId)) === 'active');
  const report = only(await output);
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2000);
  assert.partialDeepStrictEqual(await stack.record(callId), {
    ...{ state: 'closed', outcome: 'answered', endReason: 'caller-hangup' },
  });
});

test('a second leg hangs up while the events are away: the caller is hung up when they are back', async () => {
  const callId = newCallId('leg-unseen');
  const callee = { local: `${TRUNK}:${PROVIDER_PORT}`, tone: SECOND_HZ, ringMs: 500, seconds: 3 };
  const { output } = await stack.phones.listen(callee);
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 40, local: TRUNK });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  await stack.bot.send(callId, { event: 'transfer', to: '+4930777' });
  await until('the callee has answered', 10_000, async () =>
    told((await stack.bot.calls({ call_id: callId }))[0], 'completed'),
  );
  let isOver = false;
  output.finally(() => (isOver = true)).catch(() => undefined);
  await outage({}, () => until('the callee has hung up', 10_000, async () => isOver));
  const mendedAtMs = Date.now();
  const caller = await call;
  assert.equal(only(await output).sip.endedBy, 'us');
  assert.equal(caller.sip.endedBy, 'them');
  const endedAtMs = (caller.sip.answeredAtMs ?? Number.NaN) + (caller.sip.byeAfterAnswerMs ?? Number.NaN);
  assert.ok(endedAtMs - mendedAtMs < 3000, `hung up ${endedAtMs - mendedAtMs} ms after the events were back`);
  assert.ok(heardMs(caller.heard, SECOND_HZ) > 2000, 'the caller heard the callee');
  assert.equal((await stack.record(callId)).state, 'closed');
});

for (const [about, cut] of Object.entries({
  'events are away': {},
  'events and requests are away': { requests: true },
})) {
  test(`a caller hangs up while ${about}: the call ends, and nothing is left`, async () => {
    const callId = newCallId('hung-up-unseen');
    const call = stack.phones.callOnce({ to: '102', callId, seconds: 2 });
    call.catch(() => undefined);
    await stack.bot.wait(callId, 'sound');
    await outage(cut);
    assert.equal((await call).sip.endedBy, 'us');
    const bot = await stack.bot.wait(callId, 'closed');
    assert.equal(bot.hangup?.reason, 'caller-hangup');
    assert.partialDeepStrictEqual(await stack.record(callId), {
      ...{ state: 'closed', endReason: 'caller-hangup' },
    });
    expectNoViolations(bot);
  });
}

test('a caller who comes while Asterisk knows that the events are away gets the fallback', async () => {
  await outage({}, async () => {
    const { sip } = await stack.phones.callOnce({ to: '102', callId: newCallId('fallback'), seconds: 20 });
    assert.equal(sip.status, 503);
  });
});

test('a caller who comes while Asterisk takes the events for there is served when they are', async () => {
  const callId = newCallId('adopted');
  let call: ReturnType<typeof stack.phones.callOnce> | undefined;
  await outage({ unnoticed: true }, async () => {
    call = stack.phones.callOnce({ to: '102', callId, seconds: 3 });
    call.catch(() => undefined);
    await until('the caller waits', 5000, async () => (await stack.ari.channels()).length > 0);
    await sleep(2000);
  });
  const report = await call;
  assert.ok(report);
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2000);
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1);
});

test('the call goes on while events and requests are away', async () => {
  const callId = newCallId('goes-on');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 8 });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  await outage({ requests: true, unnoticed: true });
  const report = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 7000);
  assert.equal(report.sip.endedBy, 'us');
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1);
});
