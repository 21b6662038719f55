/**
 * Calls placed through ARI and the API that fail: by a final status, by a forward (3xx), by an
 * answer without audio.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BridgeApi } from '../hands/bridge-api.ts';
import { CallbackReceiver } from '../hands/callbacks.ts';
import { only } from '../phones/phones.ts';
import { callBot, hangUp } from '../phones/sip-calls.ts';
import { SipPhone } from '../phones/sip-phone.ts';
import { ATTENTIVE, FINTECH, PICKY, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
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

/**
 * What the Contact of a 3xx may name: one of our numbers, and syntax of Asterisk's own dial
 * strings.
 */
const NUMBERS = ['+4930999102', '102', 's', 'Local%2F102%40from-provider', 'Local%2Frefer%40transfer'];

/**
 * Contacts that name a provider, the same or another one. Asterisk's core calls it by itself; no
 * setting refuses that.
 */
const FOREIGN_FORWARDS = [
  'PJSIP%2F%2B4930999%40trunk',
  'pjsip%2f%2B4930999%40trunk',
  'PJSIP%2Ftrunk',
  `PJSIP%2Ftrunk%2Fsip%3Ax%40${ATTENTIVE}%3A${PROVIDER_PORT}`,
  'PJSIP%2F%2B4930999%40pb_fintech',
];

/** Originates a call to pb_fintech, whose side answers with a 3xx. */
async function forwarded(phone: SipPhone, user: string, status = 302): Promise<string> {
  const callId = newCallId('forward');
  await stack.ari.originate({ to: '+4930555102@pb_fintech', callId, variables: { X_CALL_ID: callId } });
  const invite = await phone.nextRequest('INVITE');
  phone.reply(invite, `${status} Elsewhere`, '', [redirect(user)]);
  return callId;
}

function redirect(user: string): string {
  return `Contact: <sip:${user}@${FINTECH}:${PROVIDER_PORT}>`;
}

/** One dial has failed, by a forward, and nothing else has happened. */
async function expectRefused(callId: string, callsBefore: number, status = 302): Promise<void> {
  const { outcome, sipStatus } = await stack.record(callId);
  // Asterisk does not always say which 3xx it was.
  assert.deepEqual([outcome, sipStatus === status ? 302 : sipStatus], ['failed', 302]);
  await until('nothing is left', 5000, async () => (await stack.ari.channels()).length === 0);
  await sleep(300);
  assert.deepEqual(await stack.ari.channels(), []);
  const { calls } = await stack.api('/calls?limit=500');
  assert.deepEqual(
    calls.filter(({ state }) => state !== 'closed'),
    [],
  );
  assert.equal(calls.length, callsBefore + 1);
  assert.deepEqual(await stack.bot.calls({ call_id: callId }), []);
}

async function callCount(): Promise<number> {
  return (await stack.api('/calls?limit=500')).calls.length;
}

describe('a callee that forwards an originated call has refused it', () => {
  const FORWARDS = [
    ...NUMBERS.map((user) => [user, 302] as const),
    ...[300, 301, 305, 380].map((status) => ['+4930999102', status] as const),
  ];
  for (const [user, status] of FORWARDS) {
    test(`${user}, ${status}`, async () => {
      const before = await callCount();
      await using phone = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
      await expectRefused(await forwarded(phone, user, status), before, status);
      assert.equal(phone.arrivals.filter(({ method }) => method === 'INVITE').length, 1);
    });
  }

  for (const user of FOREIGN_FORWARDS) {
    test(`${user}: the leg that Asterisk dials is cancelled at once, and hung up if it has been answered`, async () => {
      for (const answer of ['180 Ringing', '200 OK']) {
        const before = await callCount();
        await using first = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
        await using trunk = await SipPhone.open({ address: TRUNK, port: PROVIDER_PORT }, stack.ports);
        await using third = await SipPhone.open({ address: ATTENTIVE, port: PROVIDER_PORT }, stack.ports);
        const callId = await forwarded(first, user);
        const phones = [first, trunk, third];
        const all = phones.map(async (phone) => [phone, await phone.nextRequest('INVITE', 3000)] as const);
        void Promise.allSettled(all);
        const [phone, invite] = await Promise.any(all);
        phone.reply(invite, answer, answer.startsWith('2') ? phone.sdp() : '');
        const { method } = await phone.next('its end', (one) => /CANCEL|BYE/.test(one.method ?? ''), 2000);
        if (method === 'CANCEL') phone.reply(invite, '487 Request Terminated');
        await expectRefused(callId, before);
      }
    });
  }

  test('a forward of a forward', async () => {
    const before = await callCount();
    await using first = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
    await using second = await SipPhone.open({ address: TRUNK, port: PROVIDER_PORT }, stack.ports);
    await using third = await SipPhone.open({ address: ATTENTIVE, port: PROVIDER_PORT }, stack.ports);
    const callId = await forwarded(first, 'PJSIP%2F%2B4930999%40trunk');
    const invite = await second.nextRequest('INVITE');
    second.reply(invite, '302 Elsewhere', '', [redirect('PJSIP%2F%2B4930998%40attentive')]);
    const last = await third.nextRequest('INVITE', 1000).catch(() => undefined);
    if (last !== undefined) {
      third.reply(last, '180 Ringing');
      await third.nextRequest('CANCEL', 2000);
      third.reply(last, '487 Request Terminated');
    }
    await expectRefused(callId, before);
  });

  test('what the bridge dials itself is not forwarded: a call, and the second leg of a transfer', async () => {
    await using first = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
    await using trunk = await SipPhone.open({ address: TRUNK, port: PROVIDER_PORT }, stack.ports);
    const callId = newCallId('own');
    const order = { to: '+919876543210', provider: 'pb_fintech', callId };
    assert.equal((await new BridgeApi(stack.ports).request('POST', '/calls', order)).status, 202);
    const invite = await first.nextRequest('INVITE');
    first.reply(invite, '302 Elsewhere', '', [redirect('PJSIP%2F%2B4930999%40trunk')]);
    const { outcome, sipStatus } = await stack.record(callId);
    assert.deepEqual([outcome, sipStatus], ['failed', 302]);
    assert.deepEqual(
      trunk.arrivals.map(({ startLine }) => startLine),
      [],
    );
    const caller = await callBot(trunk, 'forward-leg', {}, '108');
    await stack.bot.wait(caller.callId, 'media');
    await stack.bot.send(caller.callId, { event: 'transfer', to: '+4930777' });
    const leg = await trunk.nextRequest('INVITE');
    trunk.reply(leg, '302 Elsewhere', '', [redirect('PJSIP%2F%2B4930999%40pb_fintech')]);
    await until('the transfer has failed', 5000, async () => {
      const { events } = await stack.bot.wait(caller.callId, 'answered');
      return events.some(({ event, status }) => event === 'transfer' && status === 'failed');
    });
    await hangUp(stack, trunk, caller.callId, caller.dialogue);
    assert.equal(first.arrivals.filter(({ method }) => method === 'INVITE').length, 1);
  });
});

describe('an answer that leaves no audio fails the call, and the callee is hung up', () => {
  const KEYS = 'a=rtpmap:101 telephone-event/8000';
  const ANSWERS: Record<string, ((port: number) => string[]) | undefined> = {
    'a codec that was not offered': (port) => [
      `m=audio ${port} RTP/AVP 18 101`,
      'a=rtpmap:18 G729/8000',
      KEYS,
    ],
    SRTP: (port) => [`m=audio ${port} RTP/SAVP 0 101`, 'a=rtpmap:0 PCMU/8000', KEYS],
    'keys alone': (port) => [`m=audio ${port} RTP/AVP 101`, KEYS],
    'audio refused': () => ['m=audio 0 RTP/AVP 0'],
    'no audio line': () => [],
    'no session description': undefined,
  };
  for (const by of ['us', 'others'] as const) {
    for (const [name, media] of Object.entries(ANSWERS)) {
      test(`${name}, to a call placed by ${by}`, async () => {
        await using phone = await SipPhone.open({ address: PICKY, port: PROVIDER_PORT }, stack.ports);
        const callId = newCallId('unusable');
        const order = { to: '+4930555102', provider: 'picky', callId };
        if (by === 'us') await new BridgeApi(stack.ports).request('POST', '/calls', order);
        const channel =
          by === 'us' ? undefined : await stack.ari.originate({ to: '+4930555102@picky', callId });
        const invite = await phone.nextRequest('INVITE');
        phone.reply(invite, '200 OK', media === undefined ? '' : phone.sdp(media(phone.rtp.port)));
        await phone.nextRequest('ACK');
        await phone.nextRequest('BYE');
        await until('the call has failed', 5000, async () => {
          const { calls } = await stack.api('/calls?limit=3');
          const call = calls.find((each) =>
            channel ? each.channelId === channel.id : each.callId === callId,
          );
          return call?.outcome === 'failed';
        });
      });
    }
  }

  test('an answer on hold can be used', async () => {
    await using phone = await SipPhone.open({ address: PICKY, port: PROVIDER_PORT }, stack.ports);
    const callId = newCallId('on-hold');
    const api = new BridgeApi(stack.ports);
    await api.request('POST', '/calls', { to: '+4930555102', provider: 'picky', callId });
    const invite = await phone.nextRequest('INVITE');
    phone.reply(invite, '200 OK', phone.sdp([`m=audio ${phone.rtp.port} RTP/AVP 0`, 'a=inactive']));
    await stack.bot.wait(callId, 'answered');
    await api.request('DELETE', `/calls/${callId}`);
    await phone.nextRequest('BYE');
  });
});
