/** What providers send that is legal, or at least usual, and not plain. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BridgeApi } from '../hands/bridge-api.ts';
import { CALLER_HZ, MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { requestText, type SipRequest } from '../sipp/text.ts';
import { ACME, ATTENTIVE, FINTECH, PICKY, PROVIDER_PORT, STREAM, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const TALK_MS = 1000;
/** Of that, so much is heard at each end at least. */
const HEARD_MS = 600;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

/** Calls the bot's endless tone; the caller talks from the answer on. */
async function callBot(phone: SipPhone, about: string, parts: Partial<SipRequest> = {}, to = '102') {
  const callId = newCallId(about);
  const headers = [`X-Call-ID: ${callId}`, ...(parts.headers ?? [])];
  const dialogue = await phone.call(to, { ...parts, headers });
  phone.rtp.talk();
  return { callId, dialogue };
}

/** Both ends hear each other from now on. */
async function expectTalk(phone: SipPhone, callId: string): Promise<void> {
  const { media: before } = await stack.bot.wait(callId, 'answered');
  const sinceMs = Date.now();
  await sleep(TALK_MS);
  const { media } = await stack.bot.wait(callId, 'answered');
  const atBot = (media.heardMs[CALLER_HZ] ?? 0) - (before.heardMs[CALLER_HZ] ?? 0);
  const atCaller = heardMs(phone.rtp.heard(sinceMs), MARKER_HZ);
  assert.ok(atBot >= HEARD_MS, `the bot heard ${atBot} ms of the caller`);
  assert.ok(atCaller >= HEARD_MS, `the caller heard ${atCaller} ms of the bot`);
}

async function hangUp(phone: SipPhone, callId: string, dialogue: SipDialogue): Promise<void> {
  phone.rtp.hush();
  await phone.hangUp(dialogue);
  await stack.bot.wait(callId, 'closed');
}

const AUDIO = (port: number) => [
  ...[`m=audio ${port} RTP/AVP 0 101`, 'a=rtpmap:0 PCMU/8000'],
  ...['a=rtpmap:101 telephone-event/8000', 'a=ptime:20', 'a=sendrecv'],
];
const IMAGE = ['m=image 40002 udptl t38', 'a=T38FaxVersion:0'];
const VIDEO = ['m=video 40004 RTP/AVP 96', 'a=rtpmap:96 H264/90000'];
const OFFERS: Record<string, (audio: string[], port: number) => string[]> = {
  'fax behind': (audio) => [...audio, ...IMAGE],
  'fax first': (audio) => [...IMAGE, ...audio],
  'fax over TCP': (audio) => [...audio, 'm=image 40002 tcp t38', 'a=setup:actpass'],
  'fax that is not wanted any more': (audio) => [...audio, 'm=image 0 udptl t38'],
  'fax between video and text': (audio) => [
    ...[...audio, ...VIDEO, ...IMAGE, 'm=text 40006 RTP/AVP 98', 'a=rtpmap:98 t140/1000'],
  ],
  'video first': (audio) => [...VIDEO, ...audio],
  'data and messages': (audio) => [
    ...[...audio, 'm=application 40008 UDP/DTLS/SCTP webrtc-datachannel', 'a=sctp-port:5000'],
    ...['m=message 40010 TCP/MSRP *', 'a=path:msrp://127.0.0.2:40010/x;tcp'],
  ],
  'a second audio stream': (audio) => [...audio, ...AUDIO(40_012)],
  'a kind of media that nobody knows': (audio) => [
    ...audio,
    'm=hologram 40014 RTP/AVP 99',
    'a=rtpmap:99 x/8000',
  ],
};

describe('an offer of more than audio is answered with audio both ways', () => {
  for (const [name, media] of Object.entries(OFFERS)) {
    test(name, async () => {
      await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
      const lines = media(AUDIO(phone.rtp.port), phone.rtp.port);
      const { callId, dialogue } = await callBot(phone, 'offer', { body: phone.sdp(lines) });
      assert.equal(dialogue.status, 200);
      const kinds = (text: string) => [...text.matchAll(/^m=(\w+)/gm)].map(([, kind]) => kind);
      assert.deepEqual(
        kinds(dialogue.final.body),
        kinds(lines.join('\n')),
        'a line of the answer for each (RFC 3264 6)',
      );
      await expectTalk(phone, callId);
      await hangUp(phone, callId, dialogue);
    });
  }
});

test('an offer of fax in mid-call is refused, and the talk goes on', async () => {
  await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
  const { callId, dialogue } = await callBot(phone, 'fax-later');
  const offers = [IMAGE, ['m=audio 0 RTP/AVP 0', ...IMAGE], [...IMAGE, 'm=audio 0 RTP/AVP 0']];
  for (const [at, lines] of offers.entries()) {
    const { status } = await phone.within(dialogue, 'INVITE', 2 + at, { body: phone.sdp(lines) });
    assert.equal(status, 488, lines.join(' '));
    await expectTalk(phone, callId);
  }
  dialogue.invite.sequence = 2 + offers.length;
  await hangUp(phone, callId, dialogue);
});

test('an INVITE that comes by two ways, at once or later, is one call; the second is answered with 482', async () => {
  for (const laterMs of [0, 200]) {
    await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
    const callId = newCallId('merged');
    const invite = phone.request('102', { headers: [`X-Call-ID: ${callId}`] });
    await phone.write(requestText(invite));
    await sleep(laterMs);
    const other = { ...invite, branch: `${invite.branch}other` };
    await phone.write(requestText(other));
    const finals = new Map<number, SipRequest>();
    while (finals.size < 2) {
      const { status = 0, headers } = await phone.next('a reply', (message) => (message.status ?? 0) >= 200);
      const answered = headers.via?.includes(other.branch) ? other : invite;
      await phone.write(requestText({ ...answered, method: 'ACK', to: headers.to ?? '', body: '' }));
      finals.set(status, answered);
    }
    assert.deepEqual([...finals.keys()].sort(), [200, 482]);
    assert.equal(
      (await stack.bot.calls({ from_number: '+4930555000' })).filter((call) => call.state !== 'closed')
        .length,
      1,
    );
    await stack.bot.send(callId, { event: 'hangup', immediate: true });
    await stack.bot.wait(callId, 'closed');
  }
});

describe('a number has no parameters', () => {
  const to = '+15551230102';
  const from = '+4915112345678';
  const CALLS: Record<string, Partial<SipRequest>> = {
    'Request-URI': { uri: `sip:${to};npdi;rn=+15550001@127.0.0.1;user=phone` },
    From: { from: `<sip:${from};cpc=ordinary@x.example;user=phone>;tag=1` },
    'P-Asserted-Identity': {
      from: '<sip:anonymous@x.example>;tag=1',
      headers: [`P-Asserted-Identity: <sip:${from};verstat=TN-Validation-Passed@x.example>`],
    },
    'P-Asserted-Identity, a tel URI': {
      from: '<sip:anonymous@x.example>;tag=1',
      headers: [`P-Asserted-Identity: <tel:${from};cpc=ordinary>`],
    },
  };
  for (const [name, parts] of Object.entries(CALLS)) {
    test(name, async () => {
      await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
      const callId = newCallId('number');
      const headers = [`X-Call-ID: ${callId}`, ...(parts.headers ?? [])];
      const plain = { from: `<sip:${from}@x.example>;tag=1` };
      const dialogue = await phone.call(to, { ...plain, ...parts, headers });
      const { start } = await stack.bot.wait(callId, 'answered');
      assert.deepEqual([start?.to, start?.from], [to, from]);
      await hangUp(phone, callId, dialogue);
    });
  }
});

test('nor has the number of a registered line, which is in To', async () => {
  await using phone = await SipPhone.open({ address: ACME }, stack.ports);
  const from = `<sip:${newCallId('line')}@x.example>;tag=1`;
  const body = phone.sdp([`m=audio ${phone.rtp.port} RTP/AVP 8 0`, 'a=sendrecv']);
  const to = '<sip:+4989000102;npdi;rn=+15550001@x.example;user=phone>';
  const dialogue = await phone.call('acme', { from, to, body });
  assert.equal(dialogue.status, 200);
  const { start } = await stack.bot.wait((await newestCallId()) ?? '', 'answered');
  assert.equal(start?.to, '+4989000102');
  await phone.hangUp(dialogue);
});

/** The id of the call that the bot got last. */
async function newestCallId(): Promise<string | undefined> {
  const [newest] = await stack.bot.calls();
  return newest?.callId;
}

describe('a hang-up reaches the provider', () => {
  test('where its Contact says, when it has closed its TCP connection', async () => {
    await using phone = await SipPhone.open(
      { address: STREAM, transport: 'tcp', port: PROVIDER_PORT },
      stack.ports,
    );
    const { callId } = await callBot(phone, 'tcp');
    await phone.disconnect();
    await stack.bot.send(callId, { event: 'hangup', immediate: true });
    const { startLine } = await phone.nextRequest('BYE');
    assert.match(startLine, new RegExp(`@${STREAM}:${PROVIDER_PORT}`));
  });

  test('where its Contact says, when it sends from another port', async () => {
    await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
    await using target = await SipPhone.open({ address: FINTECH }, stack.ports);
    const contact = `<sip:gw@${FINTECH}:${target.port}>`;
    const { callId } = await callBot(phone, 'contact', { contact });
    await stack.bot.send(callId, { event: 'hangup', immediate: true });
    await target.nextRequest('BYE');
  });

  test('where it sends from, when its file says that it is behind NAT', async () => {
    await using phone = await SipPhone.open({ address: PICKY }, stack.ports);
    const { callId } = await callBot(phone, 'nat', { contact: '<sip:gw@192.0.2.9:5060>' });
    await stack.bot.send(callId, { event: 'hangup', immediate: true });
    await phone.nextRequest('BYE');
  });
});

test('a provider that wants user=phone gets it', async () => {
  await using phone = await SipPhone.open({ address: PICKY, port: PROVIDER_PORT }, stack.ports);
  const callId = newCallId('user-phone');
  const order = { to: '+4930555102', provider: 'picky', callId };
  assert.equal((await new BridgeApi(stack.ports).request('POST', '/calls', order)).status, 202);
  const invite = await phone.nextRequest('INVITE');
  phone.reply(invite, '486 Busy Here');
  for (const line of [invite.startLine, invite.headers.to, invite.headers.from])
    assert.match(line ?? '', /sip:\+\d+@[^;>]+;user=phone/);
  assert.equal((await stack.record(callId)).outcome, 'busy');
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
    await hangUp(trunk, caller.callId, caller.dialogue);
    assert.equal(first.arrivals.filter(({ method }) => method === 'INVITE').length, 1);
  });
});

test('a caller whose network takes a transfer and hangs up is no call of the provider any more', async () => {
  // Its file says MAX_CALLS=2.
  await using phone = await SipPhone.open({ address: PICKY }, stack.ports);
  phone.replies = ({ method }) => method !== 'REFER';
  const left: SipDialogue[] = [];
  for (const trying of [false, true]) {
    const { callId, dialogue } = await callBot(phone, 'refer-bye', {}, '108');
    await stack.bot.wait(callId, 'media');
    await stack.bot.send(callId, { event: 'transfer', to: '+493098765432' });
    const refer = await phone.nextRequest('REFER');
    phone.reply(refer, '202 Accepted');
    // Its file says USER_PHONE=yes.
    assert.match(refer.headers['refer-to'] ?? '', /^<sip:\+493098765432@[^;>]+;user=phone>$/);
    if (trying) await notify(phone, dialogue, 2, 'active;expires=60', '100 Trying');
    await phone.within(dialogue, 'BYE', 3);
    await stack.bot.wait(callId, 'closed');
    left.push(dialogue);
  }
  const third = await callBot(phone, 'refer-bye');
  assert.equal(third.dialogue.status, 200);
  await hangUp(phone, third.callId, third.dialogue);
  // The channel goes with the REFER's subscription.
  for (const dialogue of left) await notify(phone, dialogue, 4, 'terminated;reason=noresource', '200 OK');
});

/** Tells what became of a REFER. */
function notify(phone: SipPhone, dialogue: SipDialogue, sequence: number, state: string, status: string) {
  return phone.within(dialogue, 'NOTIFY', sequence, {
    headers: ['Event: refer', `Subscription-State: ${state}`],
    contentType: 'message/sipfrag;version=2.0',
    body: `SIP/2.0 ${status}\r\n`,
  });
}

describe('a caller who withholds their number', () => {
  const number = '+4915199998888';
  const asserted = `P-Asserted-Identity: <sip:${number}@ims.example>`;
  const anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1';
  const shown = `<sip:${number}@ims.example>;tag=1`;
  const WITHHELD: Record<string, Partial<SipRequest>> = {
    'Privacy: id': { from: anonymous, headers: [asserted, 'Privacy: id'] },
    'Privacy: user;critical': { from: shown, headers: ['Privacy: user;critical'] },
    'Privacy: header': { from: shown, headers: ['Privacy: header'] },
    'an anonymous From alone': { from: anonymous },
    'Remote-Party-ID': {
      from: anonymous,
      headers: [`Remote-Party-ID: <sip:${number}@ims.example>;party=calling;privacy=full`],
    },
    'two Privacy headers': { from: shown, headers: [asserted, 'Privacy: none', 'Privacy: id'] },
    'a Privacy header that is too long to be read': {
      from: shown,
      headers: [asserted, `Privacy: id${';critical'.repeat(900)}`],
    },
    'Remote-Party-ID beside P-Asserted-Identity': {
      from: shown,
      headers: [asserted, `Remote-Party-ID: <sip:${number}@ims.example>;party=calling;privacy="full"`],
    },
  };
  for (const [name, parts] of Object.entries(WITHHELD)) {
    test(`${name}: the bot is told so, and not the number`, async () => {
      await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
      const { callId, dialogue } = await callBot(phone, 'withheld', parts);
      const { start, query } = await stack.bot.wait(callId, 'answered');
      assert.equal(start?.callerIdPresentation, 'restricted');
      assert.equal(query.caller_id_presentation, 'restricted');
      assert.equal(start?.from, 'anonymous');
      assert.ok(!JSON.stringify([start, query]).includes(number));
      await hangUp(phone, callId, dialogue);
      const { calls } = await stack.api('/calls?limit=20');
      const record = calls.find((call) => call.callId === callId);
      assert.deepEqual([record?.from, record?.callerIdPresentation], ['anonymous', 'restricted']);
    });
  }

  test('is told to a bot whose provider file says so, marked', async () => {
    await using phone = await SipPhone.open({ address: PICKY }, stack.ports);
    const { callId, dialogue } = await callBot(phone, 'withheld', WITHHELD['Privacy: id']);
    const { start } = await stack.bot.wait(callId, 'answered');
    assert.deepEqual([start?.from, start?.callerIdPresentation], [number, 'restricted']);
    await hangUp(phone, callId, dialogue);
  });

  test('and one who shows it', async () => {
    await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
    const { callId, dialogue } = await callBot(phone, 'shown', { from: shown, headers: ['Privacy: none'] });
    const { start } = await stack.bot.wait(callId, 'answered');
    assert.deepEqual([start?.from, start?.callerIdPresentation], [number, 'allowed']);
    await hangUp(phone, callId, dialogue);
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
