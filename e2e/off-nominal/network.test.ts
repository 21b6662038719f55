/** A bad network between caller and Asterisk, both ways: the call goes on, and both are heard. */
import assert from 'node:assert/strict';
import { after, afterEach, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CALLER_HZ, MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { CLEAN, type Impairment, LossyWire, NOTHING } from '../phones/lossy-wire.ts';
import { callBot, hangUp } from '../phones/sip-calls.ts';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { heardMs } from '../sipp/stream.ts';
import { audioLines } from '../sipp/text.ts';
import { TRUNK } from '../stack/ports.ts';
import { Stack } from '../stack/stack.ts';

const SEED = 20_261_128;
const TALK_MS = 4000;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

interface WiredCall extends AsyncDisposable {
  readonly phone: SipPhone;
  readonly wire: LossyWire;
  readonly callId: string;
  readonly dialogue: SipDialogue;
}

async function wiredCall(about: string): Promise<WiredCall> {
  const phone = await SipPhone.open({ address: TRUNK }, stack.ports);
  const wire = await LossyWire.open(phone.rtp, TRUNK, SEED);
  const { callId, dialogue } = await callBot(phone, about, { body: phone.sdp(audioLines(wire.port)) });
  wire.join(phone.rtp);
  await stack.bot.wait(callId, 'sound');
  return {
    phone,
    wire,
    callId,
    dialogue,
    [Symbol.asyncDispose]: async () => {
      wire[Symbol.dispose]();
      await phone[Symbol.asyncDispose]();
    },
  };
}

/** How much of a talk each end hears, ms. */
async function talk(
  { phone, callId }: WiredCall,
  ms = TALK_MS,
): Promise<{ atBot: number; atCaller: number }> {
  const { media: before } = await stack.bot.wait(callId, 'answered');
  const sinceMs = Date.now();
  await sleep(ms);
  const { media } = await stack.bot.wait(callId, 'answered');
  const atBot = (media.heardMs[CALLER_HZ] ?? 0) - (before.heardMs[CALLER_HZ] ?? 0);
  return { atBot, atCaller: heardMs(phone.rtp.heard(sinceMs), MARKER_HZ) };
}

async function expectSameBot({ callId, phone, dialogue }: WiredCall): Promise<void> {
  await hangUp(stack, phone, callId, dialogue);
  assert.equal((await stack.bot.calls({ call_id: callId })).length, 1);
  assert.equal((await stack.record(callId)).endReason, 'caller-hangup');
}

function tell(t: TestContext, { atBot, atCaller }: { atBot: number; atCaller: number }, lost: number): void {
  t.diagnostic(`of ${TALK_MS} ms the bot heard ${atBot}, the caller ${atCaller}; ${lost} packets were lost`);
}

const NETWORKS: Record<string, readonly [Impairment, atBotMs: number, atCallerMs: number]> = {
  'a loss of 3 %': [{ loss: 0.03, jitterMs: 0, doubled: 0 }, 3600, 3500],
  'a loss of 10 %': [{ loss: 0.1, jitterMs: 0, doubled: 0 }, 3000, 2600],
  'jitter of 15 ms': [{ loss: 0, jitterMs: 15, doubled: 0 }, 3700, 3700],
  'jitter of 60 ms, packets overtake each other': [{ loss: 0, jitterMs: 60, doubled: 0 }, 3000, 3000],
  'every fifth packet twice': [{ loss: 0, jitterMs: 0, doubled: 0.2 }, 3700, 3700],
};
for (const [name, [impairment, atBotMs, atCallerMs]] of Object.entries(NETWORKS))
  test(`${name}, both ways: caller and bot hear each other`, async (t) => {
    await using call = await wiredCall('bad-network');
    call.wire.impairment = impairment;
    const heard = await talk(call);
    tell(t, heard, call.wire.lost);
    await expectSameBot(call);
    assert.ok(heard.atBot >= atBotMs, `the bot heard ${heard.atBot} ms`);
    assert.ok(heard.atCaller >= atCallerMs, `the caller heard ${heard.atCaller} ms`);
  });

test('the network is gone for 6 s, both ways: then caller and bot hear each other again, in time', async (t) => {
  await using call = await wiredCall('no-network');
  call.wire.impairment = NOTHING;
  const without = await talk(call, 6000);
  call.wire.impairment = CLEAN;
  const heard = await talk(call);
  tell(t, heard, call.wire.lost);
  await expectSameBot(call);
  assert.ok(without.atCaller < 500, `${without.atCaller} ms got through`);
  assert.ok(heard.atBot >= 3700 && heard.atCaller >= 3700, JSON.stringify(heard));
});
