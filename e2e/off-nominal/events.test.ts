/**
 * Events and requests of Asterisk do not get through, or Asterisk stands still, for up to a minute,
 * with a call of each kind in progress: inbound, outbound, transferred, wideband.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AriProxy } from '../hands/ari-proxy.ts';
import { BridgeApi } from '../hands/bridge-api.ts';
import { CALLER_HZ, MARKER_HZ, SECOND_HZ, WIDE_CALLER_HZ } from '../mock-pipecat/src/tones.ts';
import { callBot } from '../phones/sip-calls.ts';
import { SipPhone } from '../phones/sip-phone.ts';
import { WidePhone } from '../phones/wide-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { FINTECH, PORTS, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

/** All calls last as long as this: the wideband telephone hangs up then. */
const TALK_MS = 300_000;
/** Of a second, so much is heard at each end at least. */
const HEARD_MS = 600;
const READY_MS = 10_000;

let proxy: AriProxy;
let stack: Stack;
let wide: WidePhone;
const phones: SipPhone[] = [];
/** Listens from now on. Resolves to how long it has heard since what it should hear, ms. */
type Ear = () => Promise<() => Promise<number>>;
let ears: Record<string, Ear>;
let callIds: string[];
let wideId: string;

async function open(address: string, port?: number): Promise<SipPhone> {
  const options = port === undefined ? { address } : { address, port };
  const phone = await SipPhone.open(options, stack.ports);
  phones.push(phone);
  return phone;
}

const phoneHears =
  ({ rtp }: SipPhone, hz: number): Ear =>
  async () => {
    const sinceMs = Date.now();
    return async () => heardMs(rtp.heard(sinceMs), hz);
  };

function botHears(callId: string, hz: number): Ear {
  const soFar = async () => (await stack.bot.wait(callId, 'answered')).media.heardMs[hz] ?? 0;
  return async () => {
    const beforeMs = await soFar();
    return async () => (await soFar()) - beforeMs;
  };
}

before(async () => {
  proxy = await AriProxy.listen(PORTS);
  stack = await Stack.start({ bridge: { ARI_URL: proxy.url, RECONCILE_MS: '1000' } });
  wide = await WidePhone.start(TALK_MS);

  const inPhone = await open(FINTECH);
  const caller = await callBot(inPhone, 'inbound');

  const outPhone = await open(FINTECH, PROVIDER_PORT);
  const outId = newCallId('outbound');
  const order = { to: '+918045555102', provider: 'pb_fintech', callId: outId };
  assert.equal((await new BridgeApi(stack.ports).request('POST', '/calls', order)).status, 202);
  outPhone.reply(await outPhone.nextRequest('INVITE'), '200 OK', outPhone.sdp());
  outPhone.rtp.talk();

  const talkPhone = await open(TRUNK);
  const legPhone = await open(TRUNK, PROVIDER_PORT);
  const talk = await callBot(talkPhone, 'transferred');
  await stack.bot.wait(talk.callId, 'sound');
  await stack.bot.send(talk.callId, { event: 'transfer', to: '+4930777' });
  legPhone.reply(await legPhone.nextRequest('INVITE'), '200 OK', legPhone.sdp());
  legPhone.rtp.talk(SECOND_HZ);

  wideId = newCallId('wideband');
  await wide.place('102', wideId, 'g722');

  callIds = [caller.callId, outId, talk.callId, wideId];
  ears = {
    'the caller hears the bot': phoneHears(inPhone, MARKER_HZ),
    'the bot hears the caller': botHears(caller.callId, CALLER_HZ),
    'the callee hears the bot': phoneHears(outPhone, MARKER_HZ),
    'the bot hears the callee': botHears(outId, CALLER_HZ),
    'the caller hears the second leg': phoneHears(talkPhone, SECOND_HZ),
    'the second leg hears the caller': phoneHears(legPhone, CALLER_HZ),
    'the bot hears the wideband caller': botHears(wideId, WIDE_CALLER_HZ),
  };
  await expectTalkSoon();
});
afterEach(() => proxy.mend());
after(async () => {
  proxy?.mend();
  for (const phone of phones) await phone[Symbol.asyncDispose]();
  await wide?.stop();
  await stack?.stop();
  await proxy?.[Symbol.asyncDispose]();
});

/** From now on, for a second, all hear each other. */
async function expectTalk(): Promise<void> {
  const listening = Object.entries(ears).map(async ([end, ear]) => ({ end, heard: await ear() }));
  const ends = await Promise.all(listening);
  await sleep(1000);
  for (const { end, heard } of ends) {
    const ms = await heard();
    assert.ok(ms >= HEARD_MS, `${end} for ${ms} ms of 1000 ms`);
  }
}

async function expectTalkSoon(): Promise<void> {
  await until('all hear each other', READY_MS, () => expectTalk().then(() => true));
}

async function expectReady(t: TestContext): Promise<void> {
  const sinceMs = Date.now();
  await until('ready again', READY_MS, async () => (await stack.readiness()).status === 200);
  t.diagnostic(`ready again after ${Date.now() - sinceMs} ms`);
}

for (const seconds of [1, 5, 13, 60])
  test(`events are cut and refused for ${seconds} s: all calls go on`, async (t) => {
    proxy.cut();
    await until('not ready', 5000, async () => (await stack.readiness()).status === 503);
    await sleep(seconds * 1000 - 1000);
    await expectTalk();
    proxy.mend();
    await expectReady(t);
    await expectTalk();
  });

for (const [what, name] of [
  ['events', 'events'],
  ['all', 'events and requests'],
] as const)
  test(`${name} are held for 15 s on open connections, and then come late: all calls go on`, async (t) => {
    proxy.hold(what);
    await until('not ready', 10_000, async () => (await stack.readiness()).status === 503);
    await sleep(10_000);
    await expectTalk();
    proxy.mend();
    await expectReady(t);
    await expectTalk();
  });

async function standstill(t: TestContext, ms: number): Promise<void> {
  await stack.pausePart('asterisk');
  await sleep(ms);
  await stack.resumePart('asterisk');
  await expectReady(t);
  await expectTalkSoon();
}

for (const seconds of [1, 5])
  test(`Asterisk stands still for ${seconds} s: all calls go on`, (t) => standstill(t, seconds * 1000));

/** No call has ended, and each has had one bot. */
async function expectAllGoOn(): Promise<void> {
  const { calls } = await stack.api('/calls');
  const ends = calls.filter(({ callId, endReason }) => callIds.includes(callId) && endReason !== undefined);
  assert.deepEqual(
    ends.map(({ callId, endReason, endDetail }) => [callId, endReason, endDetail]),
    [],
  );
  for (const callId of callIds) assert.equal((await stack.bot.calls({ call_id: callId })).length, 1, callId);
}

test('then each call has had one bot, and none has ended', expectAllGoOn);

test('the media socket of a wideband call is cut: it has another one, and its bot again', async (t) => {
  const sinceMs = Date.now();
  proxy.dropMedia();
  const second = async () => {
    const seen = await stack.bot.calls({ call_id: wideId });
    return seen.find(({ start }) => start?.reconnected === true);
  };
  await until('the bot hears the caller again', READY_MS, async () => {
    return ((await second())?.media.heardMs[WIDE_CALLER_HZ] ?? 0) > HEARD_MS;
  });
  t.diagnostic(`the bot has heard ${HEARD_MS} ms of the caller ${Date.now() - sinceMs} ms after the cut`);
  const { calls } = await stack.api('/calls');
  assert.equal(calls.find(({ callId }) => callId === wideId)?.endReason, undefined);
});

/** How long all bots of the wideband call have heard its caller, ms. */
async function wideHeardMs(): Promise<number> {
  const bots = await stack.bot.calls({ call_id: wideId });
  return bots.reduce((sum, { media }) => sum + (media.heardMs[WIDE_CALLER_HZ] ?? 0), 0);
}

for (const [how, away] of [
  ['cut', () => proxy.cut()],
  ['held', () => proxy.hold('events')],
] as const)
  test(`a media socket is cut while events are ${how}: the call has another one when they are back`, async (t) => {
    away();
    await sleep(500);
    proxy.dropMedia();
    await sleep(5000);
    const beforeMs = await wideHeardMs();
    const sinceMs = Date.now();
    proxy.mend();
    await until('the bot hears the caller again', READY_MS, async () => {
      return (await wideHeardMs()) - beforeMs > HEARD_MS;
    });
    t.diagnostic(`the bot has heard ${HEARD_MS} ms of the caller ${Date.now() - sinceMs} ms after the end`);
    const { calls } = await stack.api('/calls');
    assert.equal(calls.find(({ callId }) => callId === wideId)?.endReason, undefined);
    await expectReady(t);
  });

test('Asterisk stands still for 30 s: calls by RTP go on, each with its bot', async (t) => {
  callIds = callIds.filter((callId) => callId !== wideId);
  delete ears['the bot hears the wideband caller'];
  await standstill(t, 30_000);
  await expectAllGoOn();
});
