import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { BotCall } from '../hands/bot.ts';
import { CALLER_HZ, MARKER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { only } from '../phones/phones.ts';
import { heardMs } from '../sipp/stream.ts';
import { SECRETS } from '../stack/containers.ts';
import {
  expectBothHeard,
  expectCleanRtp,
  expectGapless,
  expectNear,
  expectNoViolations,
} from '../stack/expect.ts';
import { LOCALHOST, PROVIDER_PORT, TWILIO } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

/** What Twilio's `start` holds. */
interface TwilioStart {
  callSid: string;
  accountSid: string;
  customParameters: Record<string, string>;
}

function twilioStart(bot: BotCall): TwilioStart {
  return bot.start?.twilio as TwilioStart;
}

function hangUpByRest({ accountSid, callSid }: TwilioStart, token: string): Promise<Response> {
  const path = `/2010-04-01/Accounts/${accountSid}/Calls/${callSid}.json`;
  return fetch(`http://${LOCALHOST}:${stack.ports.http}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${accountSid}:${token}`)}` },
    body: new URLSearchParams({ Status: 'completed' }),
  });
}

test('two providers with two dialects at the same time: each AI and its caller hear each other, without a gap', async () => {
  const native = newCallId('native');
  const twilio = newCallId('twilio');
  const reports = await Promise.all([
    stack.phones.callOnce({ to: '102', callId: native, seconds: 5 }),
    // 1100 bytes a message, 120 or 160 ms apart, as stock Pipecat bots send.
    stack.phones.callOnce({ to: '105', callId: twilio, local: TWILIO, seconds: 5 }),
  ]);
  const bots = [await stack.bot.wait(native, 'closed'), await stack.bot.wait(twilio, 'closed')] as const;
  for (const [at, report] of reports.entries()) {
    expectBothHeard(report, bots[at] as BotCall, 4300);
    expectCleanRtp(report);
    expectGapless(report.heard);
  }
  assert.equal(bots[0].start?.twilio, undefined);
  assert.partialDeepStrictEqual(twilioStart(bots[1]).customParameters, {
    call_id: twilio,
    to_number: '105',
    sip_provider: 'twilio',
    direction: 'inbound',
    'X-Call-ID': twilio,
  });
  assert.equal(bots[1].media.timestampGaps, 0);
  assert.deepEqual([bots[1].close?.code, bots[1].close?.by], [1000, 'bridge']);
  assert.equal(bots[1].events.at(-1)?.event, 'hangup', 'stop is the last message');
});

test('a call of ours is served by an AI made for Twilio', async () => {
  const callId = newCallId('twilio-out');
  const { output } = await stack.phones.listen({ local: `${TWILIO}:${PROVIDER_PORT}`, seconds: 3 });
  await stack.ari.originate({
    to: '+49301234102@twilio',
    callId,
    variables: { X_TENANT: 'shop', CUSTOM_VARS: 'plan=gold' },
  });
  const report = only(await output);
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 2300);
  assert.partialDeepStrictEqual(twilioStart(bot).customParameters, {
    direction: 'outbound',
    to_number: '+49301234102',
    tenant: 'shop',
    plan: 'gold',
  });
});

test("the caller's digits reach the AI, its marks come back, and its digits reach the caller's side", async () => {
  const callId = newCallId('twilio-dtmf');
  const call = stack.phones.callOnce({
    to: '108',
    callId,
    local: TWILIO,
    seconds: 5,
    digits: '5#1',
    digitsAfterMs: 1000,
  });
  // Before any answer sounds: a key takes its place.
  await stack.bot.wait(callId, 'media');
  await stack.bot.send(callId, { event: 'dtmf', digits: '9' });
  const report = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.digits, '5#1');
  assert.equal(report.heard.digits, '9');
  assert.deepEqual(
    bot.marks.map(({ name }) => name),
    ['digit-5', 'digit-#', 'digit-1'],
  );
  expectNear('answers heard', heardMs(report.heard, SECOND_HZ), 600, 40);
  expectNoViolations(bot);
});

test('barge-in: after the clear nothing of what was queued is heard; a clear into silence does no harm', async () => {
  const callId = newCallId('twilio-barge-in');
  const call = stack.phones.callOnce({
    to: '106',
    callId,
    local: TWILIO,
    seconds: 6,
    quietMs: 2000,
    speakMs: 6000,
  });
  await stack.bot.wait(callId, 'clear');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await stack.bot.send(callId, { event: 'clear' }, { event: 'clear' });
  const { sip, heard } = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  expectNoViolations(bot);
  const clear = bot.sent.events.find(({ event }) => event === 'clear') ?? assert.fail('no clear');
  const lastOld =
    heard.segments.findLast(({ sound }) => sound === MARKER_HZ) ?? assert.fail('no audio before the clear');
  expectNear('new audio', heardMs(heard, SECOND_HZ), 500, 20);
  const oldMs = lastOld.toMs - 20 - (clear.atMs - (sip.answeredAtMs ?? Number.NaN));
  assert.ok(oldMs < 80, `old audio was heard for ${oldMs} ms after the clear`);
});

test('a stock bot ends: speech, 2 s of silence in one message, the close 40 ms later; the goodbye is heard to the last 20 ms', async () => {
  const callId = newCallId('twilio-goodbye');
  const { sip, heard } = await stack.phones.callOnce({ to: '122', callId, local: TWILIO, seconds: 15 });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'them');
  expectNear('goodbye heard', heardMs(heard, MARKER_HZ), 2000, 10);
  const restMs = (sip.byeAfterAnswerMs ?? Number.NaN) - (heard.lastAudioMs ?? Number.NaN);
  assert.ok(restMs > -25 && restMs < 2500, `BYE ${restMs} ms after the goodbye`);
  assert.deepEqual([bot.close?.code, bot.close?.by], [1000, 'mock']);
  expectNoViolations(bot);
});

for (const local of [undefined, TWILIO])
  test(`a stock bot whose pipeline ends from inside leaves its socket open: the call ends soon after its goodbye (${local ?? 'native'})`, async () => {
    const callId = newCallId('stays');
    const { sip, heard } = await stack.phones.callOnce({
      to: '131',
      callId,
      ...(local && { local }),
      seconds: 20,
    });
    const bot = await stack.bot.wait(callId, 'closed');
    assert.equal(sip.endedBy, 'them');
    expectNear('goodbye heard', heardMs(heard, MARKER_HZ), 2000, 10);
    const restMs = (sip.byeAfterAnswerMs ?? Number.NaN) - (heard.lastAudioMs ?? Number.NaN);
    assert.ok(restMs < 8_500, `BYE ${restMs} ms after the goodbye`);
    assert.deepEqual([bot.close?.code, bot.close?.by], [1000, 'bridge']);
  });

test('what a native bot says to its own clients (RTVI) does not end the call', async () => {
  const callId = newCallId('rtvi');
  const report = await stack.phones.callOnce({ to: '130', callId, seconds: 5 });
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 4300);
  assert.deepEqual([bot.close?.code, bot.close?.by], [1000, 'bridge']);
  assert.deepEqual(
    bot.events.filter(({ event }) => event === 'error'),
    [],
  );
});

test('the AI hangs up by REST: all that it has said is heard before the caller is hung up on', async () => {
  const callId = newCallId('twilio-rest');
  const call = stack.phones.callOnce({ to: '104', callId, local: TWILIO, seconds: 15 });
  const start = twilioStart(await stack.bot.wait(callId, 'sound'));
  assert.equal((await hangUpByRest(start, 'a wrong token')).status, 401);
  // 10 s of speech at 3.5 times real time: all is there after 3 s.
  await new Promise((resolve) => setTimeout(resolve, 3500));
  assert.equal((await hangUpByRest(start, SECRETS.apiToken)).status, 200);
  const { sip, heard } = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'them');
  expectNear('heard', heardMs(heard, MARKER_HZ), 10_000, 10);
  assert.deepEqual([bot.close?.code, bot.close?.by], [1000, 'bridge']);
  expectNoViolations(bot);
  const again = await hangUpByRest(start, SECRETS.apiToken);
  assert.deepEqual([again.status, ((await again.json()) as { code: number }).code], [404, 20404]);
});

test('bad messages from the AI do the call no harm, and nothing is said that it could not read', async () => {
  const callId = newCallId('twilio-garbage');
  const { sip, heard } = await stack.phones.callOnce({ to: '116', callId, local: TWILIO, seconds: 6 });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'us');
  assert.ok(heardMs(heard, MARKER_HZ) > 4000, `${heardMs(heard, MARKER_HZ)} ms heard`);
  assert.ok((bot.media.heardMs[CALLER_HZ] ?? 0) > 5000);
  assert.deepEqual(bot.errors, []);
  expectNoViolations(bot);
});
