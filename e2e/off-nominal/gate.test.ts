/** No call is taken: at the limit of calls, and while the bridge is stopped. */
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOutput } from '../phones/phones.ts';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { requestText, type SipRequest } from '../sipp/text.ts';
import { expectBothHeard } from '../stack/expect.ts';
import { ATTENTIVE, FINTECH, LOCALHOST, PICKY, PORTS, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

/** The limit of the issue: a flood of 503 beside live calls. */
const TURNED_AWAY_MS = 200;

let stack: Stack | undefined;
afterEach(() => stack?.stop());
after(() => stack?.stop());

/** Ms from each INVITE to its final answer, sorted. */
function answerTimesMs({ messages }: CallOutput): number[] {
  const invites = new Map<string, number>();
  const times: number[] = [];
  for (const { sent, startLine, headers, timeMs } of messages) {
    const id = headers['call-id'] ?? '';
    if (sent && startLine.startsWith('INVITE') && !invites.has(id)) invites.set(id, timeMs);
    const isFinal = !sent && /^SIP\/2\.0 [2-6]/.test(startLine) && /INVITE/.test(headers.cseq ?? '');
    const sentMs = invites.get(id);
    if (isFinal && sentMs !== undefined) times.push(timeMs - sentMs);
  }
  return times.sort((a, b) => a - b);
}

test('callers over a limit get 503 at once, other providers still get through, and live calls hear all', async (context) => {
  stack = await Stack.start({ bridge: { MAX_CALLS: '5' } });
  const { phones, bot } = stack;
  // One provider's share: 80 % of 5.
  const ids = [1, 2, 3, 4].map((number) => newCallId(`live-${number}`));
  const live = ids.map((callId) => phones.callOnce({ to: '102', callId, seconds: 14 }));
  await Promise.all(ids.map((callId) => bot.wait(callId, 'sound')));
  const flood = await phones.call({ to: '102', calls: 100, rate: 50, callId: newCallId('flood') });
  assert.deepEqual([...new Set(flood.calls.map(({ sip }) => sip.status))], [503]);
  const other = newCallId('other');
  const second = phones.callOnce({ to: '102', callId: other, seconds: 6, local: ATTENTIVE });
  await bot.wait(other, 'sound');
  await until('the gate is closed', 2000, async () => {
    return (await stack?.metric('pipecat_bridge_gate_closed')) === 1;
  });
  const full = await phones.call({
    to: '102',
    calls: 50,
    rate: 50,
    callId: newCallId('full'),
    local: ATTENTIVE,
  });
  assert.deepEqual([...new Set(full.calls.map(({ sip }) => sip.status))], [503]);
  for (const output of [flood, full]) {
    const times = answerTimesMs(output);
    assert.equal(times.length, output.calls.length);
    const p99 = times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN;
    context.diagnostic(`503 after ${times[times.length >> 1]} ms (p50), ${p99} ms (p99)`);
    assert.ok(p99 < TURNED_AWAY_MS, `503 within ${p99} ms (p99)`);
  }
  for (const [index, call] of [...live, second].entries()) {
    const callId = [...ids, other][index] ?? '';
    const report = await call;
    expectBothHeard(report, await bot.wait(callId, 'closed'), 4000);
    const { lost, spacingDeviationMs } = report.heard;
    assert.equal(lost, 0);
    context.diagnostic(`live call ${index + 1}: 20 ms kept within ${spacingDeviationMs.p99} ms (p99)`);
  }
  await stack.leaks.expectNone();
});

/** The provider's OPTIONS and INVITE get 503 and Retry-After from Asterisk's maintenance mode. */
async function expectMaintenance({ ports }: Stack): Promise<void> {
  await using phone = await SipPhone.open({ address: FINTECH }, ports);
  const ask = (method: string) => phone.call('102', { method, body: method === 'INVITE' ? phone.sdp() : '' });
  await until('OPTIONS gets 503', 4000, async () => (await ask('OPTIONS')).status === 503);
  for (const method of ['OPTIONS', 'INVITE']) {
    const { status, final } = await ask(method);
    assert.deepEqual([method, status, final.headers['retry-after']], [method, 503, '300']);
  }
}

test('SIGTERM: a live call goes on, then hears the announcement; who rings or calls gets 503', async () => {
  stack = await Stack.start({ bridge: { STOP_DRAIN_S: '5', SHUTDOWN_MS: '2000' } });
  const { phones, bot } = stack;
  const callId = newCallId('live');
  const live = phones.callOnce({ to: '102', callId, seconds: 60 });
  await bot.wait(callId, 'sound');
  // The bot of 109 accepts after 3 s.
  const ringing = phones.callOnce({ to: '109', callId: newCallId('ringing'), seconds: 10 });
  await until('both calls', 3000, async () => (await stack?.metric('pipecat_bridge_calls_active')) === 2);
  const stopped = stack.stopPart('bridge');
  assert.equal((await ringing).sip.status, 503);
  const late = await phones.callOnce({ to: '102', callId: newCallId('late'), seconds: 10 });
  assert.deepEqual([late.sip.status, late.sip.statuses.includes(183)], [503, false]);
  assert.equal((await stack.readiness()).status, 503);
  await expectMaintenance(stack);
  assert.equal((await stack.api('/calls?state=active')).calls.length, 1, 'the live call goes on');
  await stopped;
  const { sip, heard } = await live;
  assert.equal(sip.endedBy, 'them');
  assert.ok((sip.byeAfterAnswerMs ?? 0) > 7000, `${sip.byeAfterAnswerMs} ms: the drain and the announcement`);
  assert.ok(
    heard.segments.some(({ sound }) => sound !== 'silence'),
    'the announcement was heard',
  );
  assert.equal((await bot.wait(callId, 'closed')).hangup?.reason, 'shutdown');
  await stack.startPart('bridge');
  await stack.ready();
  await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
  await until('OPTIONS gets 200 again', 4000, async () => {
    return (await phone.call('102', { method: 'OPTIONS', body: '' })).status === 200;
  });
  const { calls } = await stack.api('/calls?endReason=shutdown');
  const record = calls.find((call) => call.callId === callId);
  assert.partialDeepStrictEqual(record, { endReason: 'shutdown', endedBy: 'operator' });
  assert.equal((await phones.callOnce({ to: '102', seconds: 2 })).sip.status, 200);
});

test('a bridge that does not react: ringing at once, then the fallback; a call that it took has no such limit', async () => {
  stack = await Stack.start({ asterisk: { BRIDGE_WAIT_S: '3' } });
  const { phones, bot } = stack;
  const callId = newCallId('long');
  const call = phones.callOnce({ to: '102', callId, seconds: 9 });
  await bot.wait(callId, 'sound');
  await sleep(4000);
  await stack.pausePart('bridge');
  const { sip } = await phones.callOnce({ to: '102', callId: newCallId('unheard'), seconds: 20 });
  await stack.resumePart('bridge');
  // 180 from the dialplan, 183 is the announcement's early media.
  assert.deepEqual(sip.statuses, [100, 180, 183, 503]);
  assert.ok((sip.ringingMs ?? Number.NaN) < 1000, `180 after ${sip.ringingMs} ms`);
  const report = await call;
  assert.equal(report.sip.endedBy, 'us', 'the call was longer than the limit');
  await stack.ready();
  await stack.leaks.expectNone();
});

/** A usual number, extensions with a meaning of their own in Asterisk, and none. */
const USERS = ['102', 's', 'T', 't', 'i', 'e', 'o', 'a', 'h', ''];

/** An INVITE to this user. Without one, the URI is a host alone. */
function parts(user: string, more: Partial<SipRequest> = {}): Partial<SipRequest> {
  const uri = user === '' ? `sip:${LOCALHOST}:${PORTS.sip}` : `sip:${user}@${LOCALHOST}:${PORTS.sip}`;
  return { uri, to: `<${uri}>`, ...more };
}

/** Whether a caller heard anything before the final reply. */
function wasHeard(phone: SipPhone, { invite }: SipDialogue): boolean {
  return phone.arrivals.some(
    ({ status, headers }) =>
      headers['call-id'] === invite.callId && (status === 183 || status === 180 || status === 200),
  );
}

/** A caller who gets the fallback, and stays. */
async function staysInFallback(phone: SipPhone, user: string, from: string): Promise<SipRequest> {
  const invite = phone.request('102', parts(user, { from }));
  await phone.write(requestText(invite));
  const early = ({ status, headers }: { status?: number; headers: Record<string, string> }) =>
    headers['call-id'] === invite.callId && (status ?? 0) > 100;
  assert.equal((await phone.next(`183 for ${user}`, early)).status, 183);
  return invite;
}

/**
 * An Asterisk whose bridge does not react, so only the test sets the gate. `refusals` is what a
 * caller of each extension gets.
 */
async function leftAlone(asterisk: Record<string, string> = {}) {
  stack = await Stack.start({ asterisk: { FALLBACK: 'human,waits', ...asterisk } });
  const { ari, ports } = stack;
  await stack.pausePart('bridge');
  const variable = 'PIPECAT_GATE_pipecat';
  const setGate = (value: string) =>
    ari.request('POST', `/asterisk/variable?${new URLSearchParams({ variable, value })}`);
  const closeGate = () => setGate(`${Math.floor(Date.now() / 1000) + 25}`);
  // Its file says MAX_CALLS=2.
  const phone = await SipPhone.open({ address: PICKY }, ports);
  const refusals = async (callId: string = newCallId('refused')): Promise<Record<string, string>> => {
    await closeGate();
    const found: Record<string, string> = {};
    for (const user of USERS) {
      const dialogue = await phone.call('102', parts(user, { callId: `${callId}-${user}` }));
      found[user] = `${dialogue.status}${wasHeard(phone, dialogue) ? ', heard' : ''}`;
    }
    return found;
  };
  return { ari, ports, phone, setGate, closeGate, refusals };
}

/** The same for each extension. `h` is where a channel is when it ends, and no number. */
function all(status: number): Record<string, string> {
  return { ...Object.fromEntries(USERS.map((user) => [user, `${status}`])), h: '603' };
}

test('whatever extension an INVITE names, a closed gate is closed; an outbound call given back is no caller', async () => {
  const { ari, ports, phone, setGate, refusals } = await leftAlone();
  await using _ = phone;
  assert.deepEqual(await refusals(), all(503));
  await setGate('');
  await using callee = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, ports);
  const { id } = await ari.originate({ to: '+4930555102@pb_fintech', callId: newCallId('given-back') });
  callee.reply(await callee.nextRequest('INVITE'), '200 OK', callee.sdp());
  const place = async () => {
    const { dialplan } = (await ari.request('GET', `/channels/${id}`)) as {
      dialplan: Record<string, string>;
    };
    return [dialplan.context, dialplan.exten, dialplan.app_name].join();
  };
  await until('it is in the app', 3000, async () => (await place()).endsWith('Stasis'));
  await ari.request('POST', `/channels/${id}/continue`);
  await until('it is in the fallback', 3000, async () => (await place()) === 'human,waits,Wait');
  await ari.request('DELETE', `/channels/${id}`);
});

test('TURN_AWAY=fallback: the fallback gets callers of any extension checked, counted and filtered', async () => {
  const { ari, phone, closeGate, refusals } = await leftAlone({ TURN_AWAY: 'fallback' });
  await using _ = phone;
  assert.deepEqual(await refusals('stuck\x07'), all(400), 'a Call-ID that ARI cannot show');
  await closeGate();
  const from = `<sip:1%26Local%2F2%24%7BX%7D@${PICKY}>;tag=`;
  const staying = [
    await staysInFallback(phone, '102', `${from}1`),
    await staysInFallback(phone, 's', `${from}2`),
  ];
  for (const { id } of await ari.channels()) {
    const { caller } = (await ari.request('GET', `/channels/${id}`)) as { caller: { number: string } };
    assert.equal(caller.number, '1Local2X');
    const variable = await ari.request('GET', `/channels/${id}/variable?variable=INBOUND_FROM`);
    assert.deepEqual(variable, { value: '1Local2X' });
  }
  assert.deepEqual(await refusals(), all(486), 'the provider has its two calls');
  for (const invite of staying)
    await phone.write(requestText({ ...invite, method: 'CANCEL', body: '', headers: [] }));
  await until('they have left', 3000, async () => (await ari.channels()).length === 0);
});
