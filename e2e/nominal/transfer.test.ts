import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { BotCall } from '../hands/bot.ts';
import { CALLER_HZ, MARKER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { only, type PhoneOptions } from '../phones/phones.ts';
import { heardMs } from '../sipp/stream.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { FINTECH, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const RING_S = 4;
/** The callee speaks with a tone of their own. */
const CALLEE = { local: `${TRUNK}:${PROVIDER_PORT}`, tone: SECOND_HZ, ringMs: 1000 };

let stack: Stack;
before(async () => {
  stack = await Stack.start({
    bridge: { TRANSFER_CONTEXTS: 'human', TRANSFER_RING_S: `${RING_S}`, MEDIA_TIMEOUT_MS: '3000' },
  });
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

/** What the AI was told of its transfers: `started`, `completed`, `failed busy` … */
const told = (bot: BotCall): string[] =>
  bot.events
    .filter(({ event }) => event === 'transfer')
    .map(({ status, reason }) => [status, reason].filter(Boolean).join(' '));

/** A call to an AI that speaks without end and asks for a transfer one second after the answer. */
async function callAndTransfer(transfer: Record<string, unknown>, options: PhoneOptions = {}) {
  const callId = newCallId('transfer');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 8, local: TRUNK, ...options });
  call.catch(() => undefined);
  await stack.bot.wait(callId, 'sound');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await stack.bot.send(callId, { event: 'transfer', to: '+4930777', ...transfer });
  return { callId, call };
}

/** The AI has been told this. */
async function untilTold(callId: string, word: string): Promise<void> {
  await until(`the AI is told ${word}`, 15_000, async () => {
    const [bot] = await stack.bot.calls({ call_id: callId });
    return bot !== undefined && told(bot).includes(word);
  });
}

test('a second leg: the caller hears the AI, then ringing, then the callee, whose hang-up ends the call', async () => {
  const { output } = await stack.phones.listen({ ...CALLEE, seconds: 3 });
  const { callId, call } = await callAndTransfer({}, { seconds: 15 });
  const callee = only(await output);
  const caller = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.deepEqual(told(bot), ['started', 'completed']);
  assert.equal(bot.hangup?.reason, 'transferred');
  assert.equal(bot.close?.code, 1000);
  assert.equal(caller.sip.endedBy, 'them');
  assert.match(callee.sip.to, /^sip:\+4930777@127\.0\.0\.6/);
  assert.match(callee.sip.from, /\+4930100@/);
  expectNear('the callee heard the caller', heardMs(callee.heard, CALLER_HZ), 3000, 300);
  expectNear('the caller heard the callee', heardMs(caller.heard, SECOND_HZ), 3000, 300);
  assert.ok(heardMs(caller.heard, MARKER_HZ) > 800, 'the caller heard the AI before');
  const ringing = caller.heard.segments.filter(({ sound }) => sound === 'other' || sound === CALLER_HZ);
  const ringingMs = ringing.reduce((sum, { audioMs }) => sum + audioMs, 0);
  assert.ok(ringingMs > 700, `the caller heard ${ringingMs} ms of ringing`);
  assert.equal(heardMs(callee.heard, MARKER_HZ), 0, 'the callee never heard the AI');
  expectNoViolations(bot);
});

test('the caller hangs up on the second leg', async () => {
  const { output } = await stack.phones.listen({ ...CALLEE, seconds: 20 });
  const { call } = await callAndTransfer({}, { seconds: 6 });
  assert.equal((await call).sip.endedBy, 'us');
  assert.equal(only(await output).sip.endedBy, 'them');
});

for (const { about, scenario, options, reason } of [
  { about: 'is busy', scenario: 'callee-refuses', options: { status: 486 }, reason: 'busy' },
  { about: 'declines', scenario: 'callee-refuses', options: { status: 603 }, reason: 'rejected' },
  { about: 'does not answer', scenario: 'callee-does-not-answer', options: {}, reason: 'no-answer' },
]) {
  test(`a callee who ${about}: the caller is back with the same AI, both hear each other, and it knows why`, async () => {
    const { output } = await stack.phones.listen({ ...CALLEE, scenario, ...options });
    const { callId, call } = await callAndTransfer({}, { seconds: 4 + RING_S });
    await untilTold(callId, `failed ${reason}`);
    const failedAtMs = Date.now();
    const caller = await call;
    await output;
    const bot = await stack.bot.wait(callId, 'closed');
    assert.deepEqual(told(bot), ['started', `failed ${reason}`]);
    const sinceMs = failedAtMs - (caller.sip.answeredAtMs ?? Number.NaN);
    const restMs = caller.heard.segments
      .filter(({ sound, fromMs }) => sound === MARKER_HZ && fromMs > sinceMs - 300)
      .reduce((sum, { audioMs }) => sum + audioMs, 0);
    assert.ok(restMs > 500, `the caller heard the AI for ${restMs} ms after the transfer`);
    assert.equal(bot.hangup?.reason, 'caller-hangup');
    expectNoViolations(bot);
  });
}

test('the caller hangs up while the second leg rings: its phone stops', async () => {
  const { output } = await stack.phones.listen({ ...CALLEE, scenario: 'callee-does-not-answer' });
  const { call } = await callAndTransfer({}, { seconds: 3 });
  assert.equal((await call).sip.endedBy, 'us');
  assert.equal(only(await output).sip.endedBy, 'them');
});

/** pb_fintech may be asked for Indian numbers. */
const TO_FINTECH = { to: '+918045600' };
const REFERRED = { scenario: 'caller-referred', local: FINTECH, ringMs: 1000 };

test('REFER: the network takes the caller over', async () => {
  const { callId, call } = await callAndTransfer(TO_FINTECH, { ...REFERRED, notifyStatus: 200 });
  const caller = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.deepEqual(told(bot), ['started', 'completed']);
  assert.equal(bot.hangup?.reason, 'transferred');
  assert.equal(caller.sip.endedBy, 'them');
});

test('REFER: the callee is busy, the caller is back with the AI', async () => {
  const { callId, call } = await callAndTransfer(TO_FINTECH, { ...REFERRED, notifyStatus: 486, seconds: 3 });
  await untilTold(callId, 'failed busy');
  const caller = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.hangup?.reason, 'caller-hangup');
  const last = caller.heard.segments.filter(({ sound }) => sound === MARKER_HZ).at(-1);
  assert.ok((last?.audioMs ?? 0) > 2000, 'the caller hears the AI again');
});

test('REFER that the network refuses: a second leg takes its place', async () => {
  const { output } = await stack.phones.listen({
    ...CALLEE,
    local: `${FINTECH}:${PROVIDER_PORT}`,
    seconds: 2,
  });
  const options = { ...REFERRED, referStatus: 405, seconds: 15 };
  const { callId, call } = await callAndTransfer(TO_FINTECH, options);
  const callee = only(await output);
  const caller = await call;
  assert.deepEqual(told(await stack.bot.wait(callId, 'closed')), ['started', 'completed']);
  expectNear('the caller heard the callee', heardMs(caller.heard, SECOND_HZ), 2000, 300);
  assert.match(callee.sip.from, /\+918045678000@/);
});

test('REFER that the network takes, and then never says what came of it', async () => {
  const options = { ...REFERRED, notifyStatus: 200, ringMs: 20_000, seconds: 12 };
  const { callId, call } = await callAndTransfer(TO_FINTECH, options);
  await untilTold(callId, 'failed no-answer');
  await stack.bot.send(callId, { event: 'hangup', immediate: true });
  assert.equal((await call).sip.endedBy, 'them');
  // Asterisk holds on to the channel until the subscription to the news of the REFER has ended.
  await until('the channel is gone', 45_000, async () => (await stack.ari.channels()).length === 0);
});

test("mode dialplan: the caller goes on in the operator's dialplan", async () => {
  const { callId, call } = await callAndTransfer({ mode: 'dialplan', context: 'human', to: 'reception' });
  const caller = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.deepEqual(told(bot), ['started', 'completed']);
  assert.equal(caller.sip.endedBy, 'them');
  assert.ok(heardMs(caller.heard, 'other') > 500, 'the caller heard the announcement');
});

test('mode dialplan: a dialplan that sends the caller back gets a new call for them at once', async () => {
  const from = '+4930555777';
  const { call } = await callAndTransfer({ mode: 'dialplan', context: 'human', to: 'back' }, { from });
  const caller = await call;
  const bots = await stack.bot.calls({ from_number: from });
  assert.equal(bots.length, 2);
  assert.equal(caller.sip.endedBy, 'us');
  assert.ok(heardMs(caller.heard, MARKER_HZ) > 5000, 'the caller hears the AI all the time but for a moment');
});
