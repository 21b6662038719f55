import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { CallbackReceiver } from '../hands/callbacks.ts';
import { only } from '../phones/phones.ts';
import { SECRETS } from '../stack/containers.ts';
import { expectBothHeard, expectCleanRtp } from '../stack/expect.ts';
import { FINTECH, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

const LOCAL = `${FINTECH}:${PROVIDER_PORT}`;

test('a call placed through ARI is taken over on answer; its metadata reach the AI, its end the callback', async () => {
  await using callbacks = await CallbackReceiver.listen();
  const callId = newCallId('outbound');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 4, ringMs: 500 });
  const channel = await stack.ari.originate({
    to: '+4930555102@pb_fintech',
    callId,
    callerId: '+918045678',
    variables: {
      X_CALLBACK_URL: callbacks.url,
      X_TENANT: 'bank',
      AGENT_ID: 'agent-7',
      CUSTOM_VARS: 'plan=gold&name=A%26B',
    },
  });
  const report = only(await output);
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 3300);
  expectCleanRtp(report);
  assert.match(report.sip.to, /^sip:\+4930555102@127\.0\.0\.2/);
  assert.match(report.sip.from, /\+918045678/);
  assert.partialDeepStrictEqual(bot.query, {
    call_id: callId,
    direction: 'outbound',
    tenant: 'bank',
    sip_provider: 'pb_fintech',
    to_number: '+4930555102',
    from_number: '+918045678',
    agent_id: 'agent-7',
  });
  assert.partialDeepStrictEqual(bot.start, {
    callId,
    direction: 'outbound',
    channel_id: channel.id,
    to: '+4930555102',
    from: '+918045678',
    app_args: [callId],
    custom_vars: { plan: 'gold', name: 'A&B' },
  });
  const { fields, body, signature } = await callbacks.next();
  assert.partialDeepStrictEqual(fields, {
    call_sid: channel.id,
    call_id: callId,
    status: 'completed',
    outcome: 'answered',
  });
  assert.equal(
    signature,
    `sha256=${createHmac('sha256', SECRETS.callbackSecret).update(body).digest('hex')}`,
  );
  assert.equal(callbacks.received.length, 1);
});

const FORMATS = [
  { encoding: 'pcma', sampleRate: 8_000, transport: 'rtp' },
  { encoding: 'pcm16', sampleRate: 8_000, transport: 'rtp' },
  { encoding: 'pcmu', sampleRate: 8_000, transport: 'websocket' },
  { encoding: 'pcm16', sampleRate: 16_000, transport: 'websocket' },
  { encoding: 'pcm16', sampleRate: 24_000, transport: 'websocket' },
];
for (const { encoding, sampleRate, transport } of FORMATS) {
  test(`the AI speaks and hears ${encoding} at ${sampleRate} Hz by ${transport} when the call asks for it`, async () => {
    const callId = newCallId(`${encoding}-${sampleRate}`);
    const { output } = await stack.phones.listen({ local: LOCAL, seconds: 3 });
    await stack.ari.originate({
      to: '777102@pb_fintech',
      callId,
      variables: { X_CODEC: encoding, X_SR: String(sampleRate), X_TRANSPORT: transport },
    });
    const report = only(await output);
    const bot = await stack.bot.wait(callId, 'closed');
    expectBothHeard(report, bot, 2300);
    assert.partialDeepStrictEqual(bot.start, { encoding, sampleRate });
    expectCleanRtp(report);
  });
}

test('the AI ends an outbound call, and the callback says completed', async () => {
  await using callbacks = await CallbackReceiver.listen();
  const callId = newCallId('outbound-goodbye');
  const { output } = await stack.phones.listen({ local: LOCAL, seconds: 15 });
  await stack.ari.originate({
    to: '777107@pb_fintech',
    callId,
    variables: { X_CALLBACK_URL: callbacks.url },
  });
  assert.equal(only(await output).sip.endedBy, 'them');
  assert.partialDeepStrictEqual((await callbacks.next()).fields, { status: 'completed', cause: '16' });
});
