/**
 * Callers who send no audio: those who only listen, on a trunk with silence suppression, and those
 * who have not begun.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CALLER_HZ } from '../mock-pipecat/src/tones.ts';
import { RtcpEnd } from '../phones/rtcp-end.ts';
import { SipPhone } from '../phones/sip-phone.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const MEDIA_TIMEOUT_MS = 2_000;
const QUIET_MS = 5_000;
/** Plays without end. */
const MONOLOGUE_BOT = '102';

let stack: Stack;
before(async () => {
  stack = await Stack.start({ bridge: { MEDIA_TIMEOUT_MS: String(MEDIA_TIMEOUT_MS) } });
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

/** What the caller's side sends in place of audio, and the interval in ms. */
interface Sign {
  about: string;
  everyMs: number;
  send: (phone: SipPhone, rtcp: RtcpEnd, count: number) => void;
}

const rtp = (phone: SipPhone, count: number, payloadType: number, payload: Uint8Array) =>
  phone.rtp.send({ payloadType, sequenceNumber: 1000 + count, timestamp: 160_000 + count * 4_000, payload });

const SIGNS: Sign[] = [
  {
    about: 'comfort noise',
    everyMs: 500,
    send: (phone, _, count) => rtp(phone, count, 13, Buffer.from([60])),
  },
  {
    about: 'empty packets',
    everyMs: 1_000,
    send: (phone, _, count) => rtp(phone, count, 0, Buffer.alloc(0)),
  },
  { about: 'RTCP reports', everyMs: 1_000, send: (_phone, rtcp) => rtcp.report() },
];

describe('a caller who only listens', () => {
  for (const { about, everyMs, send } of SIGNS) {
    test(`and sends ${about} is kept, and cut when nothing comes any more`, async () => {
      await using phone = await SipPhone.open({ address: TRUNK }, stack.ports);
      const callId = newCallId('listens');
      const call = await phone.call(MONOLOGUE_BOT, { headers: [`X-Call-ID: ${callId}`] });
      assert.equal(call.status, 200);
      using rtcp = await RtcpEnd.open(TRUNK, phone.rtp);
      phone.rtp.talk();
      // Asterisk's first RTCP report comes after some seconds: before that there is nothing to
      // report on.
      await (about.startsWith('RTCP') ? rtcp.heard() : sleep(1_000));
      phone.rtp.hush();
      let count = 0;
      const signs = setInterval(() => send(phone, rtcp, ++count), everyMs);
      await sleep(QUIET_MS);
      clearInterval(signs);
      const ceasedMs = performance.now();
      assert.equal(phone.arrivals.filter(({ method }) => method === 'BYE').length, 0, 'the call goes on');
      await until('the call is over', 2 * MEDIA_TIMEOUT_MS + 3_000, async () =>
        phone.arrivals.some(({ method }) => method === 'BYE'),
      );
      const passedMs = performance.now() - ceasedMs;
      assert.ok(passedMs < 2 * MEDIA_TIMEOUT_MS + 1_000, `cut after ${passedMs} ms`);
      const bot = await stack.bot.wait(callId, 'closed');
      assert.equal(bot.hangup?.reason, 'media-timeout');
    });
  }
});

/**
 * A level, then the reflection coefficients of a spectrum (RFC 3389 section 3). G.711 Appendix II
 * has ten of them.
 */
const NOISES = [
  [],
  [60],
  [60, 1],
  [60, ...Array(10).fill(127)],
  [255, ...Array(22).fill(0)],
  Array(200).fill(60),
];

test('comfort noise of any length costs nobody the call, and what is said behind it is heard', async () => {
  await using phone = await SipPhone.open({ address: TRUNK }, stack.ports);
  const callId = newCallId('noise');
  const call = await phone.call(MONOLOGUE_BOT, { headers: [`X-Call-ID: ${callId}`] });
  let sequenceNumber = 1000;
  for (const noise of NOISES) {
    sequenceNumber += 1;
    const place = { sequenceNumber, timestamp: sequenceNumber * 160 };
    phone.rtp.send({ payloadType: 13, ...place, payload: Uint8Array.from(noise) });
    await sleep(100);
  }
  phone.rtp.talk(CALLER_HZ, sequenceNumber + 1);
  await sleep(1_000);
  const { media } = await stack.bot.wait(callId, 'answered');
  await phone.hangUp(call);
  assert.equal((await stack.bot.wait(callId, 'closed')).hangup?.reason, 'caller-hangup');
  assert.ok(
    (media.heardMs[CALLER_HZ] ?? 0) > 600,
    `the bot heard ${media.heardMs[CALLER_HZ]} ms of the caller`,
  );
});

test('a caller who has sent nothing yet is heard as silence, every 20 ms, from the answer on', async () => {
  await using phone = await SipPhone.open({ address: TRUNK }, stack.ports);
  const callId = newCallId('mute');
  const call = await phone.call(MONOLOGUE_BOT, { headers: [`X-Call-ID: ${callId}`] });
  const answeredMs = performance.now();
  await sleep(1_200);
  const before = await stack.bot.wait(callId, 'answered');
  expectNear('silence', before.media.audioMs, performance.now() - answeredMs, 300);
  phone.rtp.talk();
  await sleep(1_000);
  const passedMs = performance.now() - answeredMs;
  const now = await stack.bot.wait(callId, 'answered');
  expectNear('silence and audio', now.media.audioMs, passedMs, 300);
  await phone.hangUp(call);
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
});
