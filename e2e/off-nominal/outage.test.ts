/**
 * What happens in Asterisk while its events do not reach the bridge: the comparison with Asterisk
 * corrects it.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AriProxy, type Cut } from '../hands/ari-proxy.ts';
import type { BotCall } from '../hands/bot.ts';
import { BridgeApi } from '../hands/bridge-api.ts';
import { CALLER_HZ, MARKER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { only } from '../phones/phones.ts';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { startBridge } from '../stack/containers.ts';
import { expectBothHeard, expectNoViolations } from '../stack/expect.ts';
import { FINTECH, PORTS, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const RECONCILE_MS = 1000;
const OUTAGE_MS = 4000;
/** One packet: what leaves before the bridge has hung up a newcomer from another provider. */
const STRANGER_HEARS_MS = 20;

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

/**
 * Interrupts the connection for this time, or until a condition holds. Resolves when the bridge is
 * connected again.
 */
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
    local: `${FINTECH}:${PROVIDER_PORT}`,
    ringMs: 2000,
    seconds: 8,
  });
  const order = { to: '+918045555102', provider: 'pb_fintech', callId };
  assert.equal((await api.request('POST', '/calls', order)).status, 202);
  await until('it rings', 5000, async () => (await state(callId)) === 'ringing');
  await outage();
  await until('the call is active', 3000, async () => (await state(callId)) === 'active');
  const report = only(await output);
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2000);
  assert.partialDeepStrictEqual(await stack.record(callId), {
    state: 'closed',
    outcome: 'answered',
    endReason: 'caller-hangup',
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
      state: 'closed',
      endReason: 'caller-hangup',
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

for (const answer of ['180 Ringing', '200 OK']) {
  test(`a callee forwards a call to another provider while events are away (${answer}): no call of it`, async () => {
    await using callee = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
    await using other = await SipPhone.open({ address: TRUNK, port: PROVIDER_PORT }, stack.ports);
    const callId = newCallId('forward-unseen');
    await stack.ari.originate({ to: '+4930555102@pb_fintech', callId, variables: { X_CALL_ID: callId } });
    const invite = await callee.nextRequest('INVITE');
    callee.reply(invite, '180 Ringing');
    await until('it rings', 5000, async () => (await state(callId)) === 'ringing');
    await outage({ unnoticed: true }, async () => {
      const contact = `Contact: <sip:PJSIP%2F%2B4930999%40trunk@${FINTECH}>`;
      callee.reply(invite, '302 Elsewhere', '', [contact]);
      const leg = await other.nextRequest('INVITE');
      other.reply(leg, answer, answer.startsWith('2') ? other.sdp() : '');
      await sleep(500);
    });
    await other.nextRequest(answer.startsWith('2') ? 'BYE' : 'CANCEL', 3000);
    const { outcome, sipStatus } = await stack.record(callId);
    assert.deepEqual([outcome, sipStatus], ['failed', 302]);
    assert.deepEqual(await openCalls(), []);
    assert.deepEqual(await stack.bot.calls({ call_id: callId }), []);
    if (answer.startsWith('1')) {
      const leg = other.arrivals.find(({ method }) => method === 'INVITE');
      if (leg) other.reply(leg, '487 Request Terminated');
    }
  });
}

/** Both ends hear each other from now on. */
async function expectTalk(phone: SipPhone, callId: string): Promise<void> {
  const { media: before } = await stack.bot.wait(callId, 'answered');
  const sinceMs = Date.now();
  await sleep(1000);
  const { media } = await stack.bot.wait(callId, 'answered');
  const atBot = (media.heardMs[CALLER_HZ] ?? 0) - (before.heardMs[CALLER_HZ] ?? 0);
  const atCaller = heardMs(phone.rtp.heard(sinceMs), MARKER_HZ);
  assert.ok(atBot >= 600, `the bot heard ${atBot} ms of the caller`);
  assert.ok(atCaller >= 600, `the caller heard ${atCaller} ms of the bot`);
}

async function openCalls(): Promise<string[]> {
  const { calls } = await stack.api('/calls');
  return calls.filter(({ state }) => state !== 'closed').map(({ callId }) => callId);
}

/** A call to the bot whose tone has no end. */
async function callBot(phone: SipPhone, callId: string): Promise<SipDialogue> {
  const dialogue = await phone.call('102', { headers: [`X-Call-ID: ${callId}`] });
  phone.rtp.talk();
  await expectTalk(phone, callId);
  return dialogue;
}

/** Header lines of an INVITE that takes a call's place (RFC 3891). */
function replacing({ invite, final }: SipDialogue): string[] {
  const tag = (text = '') => /;tag=([^;>]+)/.exec(text)?.[1];
  return [
    'Require: replaces',
    `Replaces: ${invite.callId};to-tag=${tag(final.headers.to)};from-tag=${tag(invite.from)}`,
  ];
}

test('INVITE with Replaces of the same provider: the same bot goes on with the newcomer, the old leg is hung up', async () => {
  await using first = await SipPhone.open({ address: FINTECH }, stack.ports);
  await using second = await SipPhone.open({ address: FINTECH }, stack.ports);
  const callId = newCallId('replaced');
  const { length } = await stack.bot.calls();
  const old = await callBot(first, callId);
  const taken = await second.call('102', { headers: replacing(old) });
  assert.equal(taken.status, 200);
  // Its sequence numbers begin at those of the first telephone: Asterisk passes both on under one
  // SSRC.
  second.rtp.talk();
  await first.nextRequest('BYE', 3000);
  first.rtp.hush();
  await expectTalk(second, callId);
  await sleep(2 * RECONCILE_MS);
  await expectTalk(second, callId);
  assert.deepEqual(await openCalls(), [callId]);
  second.rtp.hush();
  await second.hangUp(taken);
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.hangup?.reason, 'caller-hangup');
  assert.equal((await stack.bot.calls()).length, length + 1, 'one bot');
  expectNoViolations(bot);
});

test('INVITE with Replaces of another provider: it is hung up at once, and the call goes on', async () => {
  await using first = await SipPhone.open({ address: FINTECH }, stack.ports);
  await using stranger = await SipPhone.open({ address: TRUNK }, stack.ports);
  const callId = newCallId('not-replaced');
  const { length } = await stack.bot.calls();
  const old = await callBot(first, callId);
  const { status } = await stranger.call('102', { headers: replacing(old) });
  if (status === 200) await stranger.nextRequest('BYE', 3000);
  await expectTalk(first, callId);
  await sleep(2 * RECONCILE_MS);
  await expectTalk(first, callId);
  assert.deepEqual(await openCalls(), [callId]);
  assert.ok(!first.arrivals.some(({ method }) => method === 'BYE'), 'the first leg is not hung up');
  // Asterisk puts it into the call before it says so: docs/FIREWALL.md.
  const heard = heardMs(stranger.rtp.heard(), MARKER_HZ);
  assert.ok(heard <= STRANGER_HEARS_MS, `the stranger heard ${heard} ms of the call`);
  first.rtp.hush();
  await first.hangUp(old);
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
  assert.equal((await stack.bot.calls()).length, length + 1, 'one bot');
});

test('a caller whose REFER fails while the events are away, as Asterisk knows, is back with the bot when they are there', async () => {
  await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
  const callId = newCallId('refer-unseen');
  const dialogue = await callBot(phone, callId);
  await stack.bot.send(callId, { event: 'transfer', to: '+918045600' });
  const { headers } = await phone.nextRequest('REFER');
  const notify = (sequence: number, state: string, line: string) =>
    phone.within(dialogue, 'NOTIFY', sequence, {
      headers: [`Event: refer;id=${Number.parseInt(headers.cseq ?? '', 10)}`, `Subscription-State: ${state}`],
      contentType: 'message/sipfrag;version=2.0',
      body: `SIP/2.0 ${line}\r\n`,
    });
  await notify(10, 'active;expires=60', '100 Trying');
  await outage({}, async () => {
    await notify(11, 'terminated;reason=noresource', '486 Busy Here');
    await sleep(OUTAGE_MS);
  });
  await until('the bot is told', 5000, async () =>
    told((await stack.bot.calls({ call_id: callId }))[0], 'failed'),
  );
  await expectTalk(phone, callId);
  phone.rtp.hush();
  await phone.within(dialogue, 'BYE', 20);
  assert.equal((await stack.bot.wait(callId, 'closed')).hangup?.reason, 'caller-hangup');
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1);
});

for (const [about, digits] of [
  ['a key and a minute of pauses', `1${'w'.repeat(127)}`],
  ['a hundred keys', '0123456789'.repeat(10)],
] as const) {
  test(`a caller hangs up while the bot sends ${about}: all is released, and no other bot comes`, async () => {
    const callId = newCallId('keys');
    const { length } = await stack.bot.calls();
    const call = stack.phones.callOnce({ to: '102', callId, seconds: 2 });
    call.catch(() => undefined);
    await stack.bot.wait(callId, 'sound');
    await stack.bot.send(callId, { event: 'dtmf', digits });
    assert.equal((await call).sip.endedBy, 'us');
    const bot = await stack.bot.wait(callId, 'closed');
    await until('the channel is gone', 2500, async () => (await stack.ari.channels()).length === 0);
    assert.deepEqual(await openCalls(), []);
    await sleep(2 * RECONCILE_MS);
    assert.equal((await stack.bot.calls()).length, length + 1, 'one bot');
    assert.deepEqual(bot.errors, []);
  });
}

test('Asterisk stands still for 12 s: not ready meanwhile; then the call goes on, and the next one is served', async () => {
  const callId = newCallId('stood-still');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 24 });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  await stack.pausePart('asterisk');
  try {
    await sleep(5000);
    for (const endMs = Date.now() + 7000; Date.now() < endMs; await sleep(500))
      assert.equal((await stack.readiness()).status, 503);
  } finally {
    await stack.resumePart('asterisk');
  }
  await until('ready again', 5000, async () => (await stack.readiness()).status === 200);
  const nextId = newCallId('after-standstill');
  const next = await stack.phones.callOnce({ to: '102', callId: nextId, seconds: 2, local: TRUNK });
  expectBothHeard(next, await stack.bot.wait(nextId, 'closed'), 1500);
  const report = await call;
  assert.equal(report.sip.endedBy, 'us');
  const bot = await stack.bot.wait(callId, 'closed');
  const last = report.heard.segments.filter(({ sound }) => sound === MARKER_HZ).at(-1);
  assert.ok((last?.audioMs ?? 0) > 2000, `at the end the caller heard the bot for ${last?.audioMs} ms`);
  // 24 s of talk, of which Asterisk passed nothing on for 12 s.
  assert.ok((bot.media.heardMs[CALLER_HZ] ?? 0) > 9000, `the bot heard ${bot.media.heardMs[CALLER_HZ]} ms`);
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1);
  assert.equal(bot.hangup?.reason, 'caller-hangup');
});

/** Ports of a second bridge beside the stack's. */
const OTHER_PORTS = { ...PORTS, http: 28_190, rtpMin: 28_200, rtpMax: 28_999 };

test('a second bridge takes the new calls, and goes: the call in progress stays where it is, with its bot', async () => {
  const callId = newCallId('handed-over');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 14 });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  const other = await startBridge(OTHER_PORTS, { RECONCILE_MS: `${RECONCILE_MS}`, RECORDS_DIR: '' });
  try {
    await until('the first hands over', 5000, async () => (await stack.readiness()).status === 503);
    const served = newCallId('by-the-second');
    const next = await stack.phones.callOnce({ to: '102', callId: served, seconds: 5, local: TRUNK });
    expectBothHeard(next, await stack.bot.wait(served, 'closed'), 1500);
    assert.equal((await stack.readiness()).status, 503);
    const report = await call;
    assert.equal(report.sip.endedBy, 'us');
    const bot = await stack.bot.wait(callId, 'closed');
    expectBothHeard(report, bot, 12_000);
    assert.equal((await stack.bot.calls({ call_id: callId })).length, 1, 'one bot');
    assert.equal(bot.hangup?.reason, 'caller-hangup');
  } finally {
    await other.stop({ timeout: 15_000 });
  }
  await until(
    'the first takes new calls again',
    10_000,
    async () => (await stack.readiness()).status === 200,
  );
  const served = newCallId('by-the-first');
  const next = await stack.phones.callOnce({ to: '102', callId: served, seconds: 2 });
  expectBothHeard(next, await stack.bot.wait(served, 'closed'), 1500);
});
