/** A caller who controls every header, and strangers who know where the audio is. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from '../mock-pipecat/src/format.ts';
import { CALLER_HZ, MARKER_HZ, tone } from '../mock-pipecat/src/tones.ts';
import { type SipArrival, SipPhone } from '../phones/sip-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { requestText, type SipRequest } from '../sipp/text.ts';
import { FINTECH, LOCALHOST, PROVIDER_PORT, SECOND_PHONE, STRANGER } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const DIALS = ')%3ADial(PJSIP/+919999000011%40pb_fintech,)';
const SETS = ')%3AMSet(X_TENANT=evil,X_CALLBACK_URL=http%3A//127.0.0.1%3A1/)';
const host = `${LOCALHOST}:25060`;

/** What a header says beyond the usual, and whether the call is one all the same. */
const INJECTIONS: readonly [string, Partial<SipRequest>][] = [
  ['Dial in To', { to: `<sip:x${DIALS}@host>` }],
  ['MSet in To', { to: `<sip:x${SETS}@host>` }],
  ['Dial in From', { from: `<sip:x${DIALS}@${SECOND_PHONE}>;tag=a` }],
  ['Dial in the name', { from: `"x):Dial(PJSIP/1@pb_fintech,)" <sip:1@${SECOND_PHONE}>;tag=a` }],
  ['Dial in the number', { uri: `sip:102${DIALS}@${host}` }],
  ['an expression in the number', { uri: `sip:102%22%20%7c%20%22%24%7bEXTEN%7d%5d%3Ffull%3A@${host}` }],
  ['a variable in the number', { uri: `sip:102%24%7bEVAL(%24%7bSHELL(id)%7d)%7d@${host}` }],
  ['Dial in X- headers', { headers: ['X-A: a):Dial(PJSIP/1@pb_fintech,)', "X-!%*'B: $[1]),b)"] }],
  ['a long X- header', { headers: [`X-Long: ${'a)'.repeat(1500)}`, 'X-B: b)'] }],
];

for (const [what, parts] of INJECTIONS) {
  test(`${what} is text: nobody is called, nothing is set`, async () => {
    await using callee = await SipPhone.open({ address: FINTECH, port: PROVIDER_PORT }, stack.ports);
    await using phone = await SipPhone.open({ address: SECOND_PHONE }, stack.ports);
    const callId = newCallId('injection');
    const headers = [`X-Call-ID: ${callId}`, ...(parts.headers ?? [])];
    const dialogue = await phone.call('102', { ...parts, headers });
    assert.equal(dialogue.status, 200);
    await stack.bot.wait(callId, 'answered');
    await phone.hangUp(dialogue);
    const record = await stack.record(callId);
    assert.equal(record.tenant, undefined);
    assert.equal(record.endReason, 'caller-hangup');
    assert.match(`${record.to}`, /^[\w+*#.-]*$/);
    assert.match(`${record.from}`, /^[\w+*#.-]*$/);
    assert.deepEqual(
      callee.arrivals.filter(({ method }) => method === 'INVITE'),
      [],
    );
  });
}

/** Bytes that are no UTF-8, where SIP has them; the sender writes latin1. */
const BROKEN: readonly [string, Partial<SipRequest>, number][] = [
  ['the Call-ID', { callId: 'stuck\xff' }, 400],
  ['the Call-ID, a control character', { callId: 'stuck\x07a' }, 400],
  ['the number, escaped', { uri: `sip:102%ff%fe@${host}` }, 400],
  ['the number, a control character', { uri: `sip:102%0d%0a%01@${host}` }, 400],
  ['the caller’s number', { from: `<sip:1%ff%fe@${SECOND_PHONE}>;tag=a` }, 200],
  ['the caller’s number, a control character', { from: `<sip:1%07%0a2@${SECOND_PHONE}>;tag=a` }, 200],
  ['the caller’s name', { from: `"\xff\xfe" <sip:1@${SECOND_PHONE}>;tag=a` }, 200],
  ['the called URI', { to: '<sip:1%ff@host>' }, 200],
  ['an X- header', { headers: ['X-A: \xff\xfe'] }, 200],
  ['P-Asserted-Identity', { headers: [`P-Asserted-Identity: "\xff" <sip:1%ff@${SECOND_PHONE}>`] }, 200],
  ['Diversion', { headers: [`Diversion: "\xff" <sip:1%ff@${SECOND_PHONE}>;reason=\xff`] }, 200],
  ['Contact', { headers: [`Contact: "\xff" <sip:1%ff@${SECOND_PHONE}>`] }, 200],
];

for (const [where, parts, expected] of BROKEN) {
  test(`no UTF-8 in ${where}: ${expected}, and ARI lists channels all the time`, async () => {
    await using phone = await SipPhone.open({ address: SECOND_PHONE }, stack.ports);
    const callId = newCallId('broken');
    const headers = [`X-Call-ID: ${callId}`, ...(parts.headers ?? [])];
    const invite = phone.request('102', { ...parts, headers });
    const say = (request: SipRequest) => phone.write(Buffer.from(requestText(request), 'latin1'));
    await say(invite);
    const isFinal = ({ status = 0, headers: { cseq } }: SipArrival) => status >= 200 && cseq === '1 INVITE';
    const final = await phone.next('the final reply', isFinal);
    await say({ ...invite, method: 'ACK', body: '', to: final.headers.to ?? '', headers: [] });
    assert.equal(final.status, expected);
    if (expected === 200) {
      await stack.bot.wait(callId, 'answered');
      assert.equal((await stack.ari.channels()).length, 2);
      await phone.hangUp({ invite, final, status: 200 });
      const record = await stack.record(callId);
      assert.match(`${record.from}`, /^[\w+*#.-]*$/);
    }
    // The bridge's own view: it compares its calls with Asterisk's.
    assert.equal((await stack.readiness()).status, 200);
    // A channel that is refused is still listed for a moment.
    await until('ARI lists channels', 1000, async () => (await stack.ari.channels()).length === 0);
  });
}

test('a stranger who knows the port of the audio gets none of it and is not heard, whether the caller speaks or not', async () => {
  await using phone = await SipPhone.open({ address: SECOND_PHONE }, stack.ports);
  const stranger = createSocket('udp4');
  stranger.bind(0, STRANGER);
  await once(stranger, 'listening');
  let got = 0;
  stranger.on('message', () => {
    got += 1;
  });
  const callId = newCallId('stranger-rtp');
  const dialogue = await phone.call('102', { headers: [`X-Call-ID: ${callId}`] });
  const frame = encode(tone(1850, 20, 8000), 'pcmu');
  const speak = async (): Promise<void> => {
    for (let count = 0; count < 60; count++) {
      const packet = Buffer.concat([Buffer.alloc(12), frame]);
      packet.writeUInt8(0x80, 0);
      packet.writeUInt16BE(count, 2);
      packet.writeUInt32BE(count * 160, 4);
      packet.writeUInt32BE(4711, 8);
      stranger.send(packet, phone.rtp.farPort, LOCALHOST);
      await sleep(20);
    }
  };
  await speak();
  const silent = (await stack.bot.calls()).find((call) => call.callId === callId);
  assert.equal(silent?.media.heardMs[1850] ?? 0, 0, 'the stranger was heard');
  phone.rtp.talk();
  await speak();
  await phone.hangUp(dialogue);
  const bot = await stack.bot.wait(callId, 'closed');
  stranger.close();
  assert.equal(got, 0, 'the stranger got audio');
  assert.equal(bot.media.heardMs[1850] ?? 0, 0, 'the stranger was heard');
  assert.ok(
    (bot.media.heardMs[CALLER_HZ] ?? 0) > 600,
    `the caller was heard ${bot.media.heardMs[CALLER_HZ]} ms`,
  );
  assert.ok(heardMs(phone.rtp.heard(), MARKER_HZ) > 1500, 'the caller heard the AI');
});

test('SIP over WebSocket on the port of ARI is refused', async () => {
  for (const path of ['/ws', '/sip', '/ari/ws', '/']) {
    const socket = new WebSocket(`ws://${LOCALHOST}:${stack.ports.ari}${path}`, ['sip']);
    const opened = await new Promise<boolean>((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });
    assert.equal(opened, false, path);
  }
});
