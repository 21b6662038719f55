/** What providers send that is legal, or at least usual, and not plain. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BridgeApi } from '../hands/bridge-api.ts';
import { CALLER_HZ, MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { callBot, hangUp } from '../phones/sip-calls.ts';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { requestText, type SipRequest } from '../sipp/text.ts';
import { ACME, FINTECH, PICKY, PROVIDER_PORT, STREAM } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

const TALK_MS = 1000;
/** Of that, so much is heard at each end at least. */
const HEARD_MS = 600;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

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

const AUDIO = (port: number) => [
  `m=audio ${port} RTP/AVP 0 101`,
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=ptime:20',
  'a=sendrecv',
];
const IMAGE = ['m=image 40002 udptl t38', 'a=T38FaxVersion:0'];
const VIDEO = ['m=video 40004 RTP/AVP 96', 'a=rtpmap:96 H264/90000'];
const OFFERS: Record<string, (audio: string[], port: number) => string[]> = {
  'fax behind': (audio) => [...audio, ...IMAGE],
  'fax first': (audio) => [...IMAGE, ...audio],
  'fax over TCP': (audio) => [...audio, 'm=image 40002 tcp t38', 'a=setup:actpass'],
  'fax that is not wanted any more': (audio) => [...audio, 'm=image 0 udptl t38'],
  'fax between video and text': (audio) => [
    ...audio,
    ...VIDEO,
    ...IMAGE,
    'm=text 40006 RTP/AVP 98',
    'a=rtpmap:98 t140/1000',
  ],
  'video first': (audio) => [...VIDEO, ...audio],
  'data and messages': (audio) => [
    ...audio,
    'm=application 40008 UDP/DTLS/SCTP webrtc-datachannel',
    'a=sctp-port:5000',
    'm=message 40010 TCP/MSRP *',
    'a=path:msrp://127.0.0.2:40010/x;tcp',
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
      await hangUp(stack, phone, callId, dialogue);
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
  await hangUp(stack, phone, callId, dialogue);
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
      await hangUp(stack, phone, callId, dialogue);
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
  await hangUp(stack, phone, third.callId, third.dialogue);
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
      await hangUp(stack, phone, callId, dialogue);
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
    await hangUp(stack, phone, callId, dialogue);
  });

  test('and one who shows it', async () => {
    await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
    const { callId, dialogue } = await callBot(phone, 'shown', {
      from: shown,
      headers: ['Privacy: none'],
    });
    const { start } = await stack.bot.wait(callId, 'answered');
    assert.deepEqual([start?.from, start?.callerIdPresentation], [number, 'allowed']);
    await hangUp(stack, phone, callId, dialogue);
  });
});
