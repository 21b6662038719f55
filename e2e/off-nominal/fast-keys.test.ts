/** Keys that a machine dials: faster than a hand, each once at the bot. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SipPhone } from '../phones/sip-phone.ts';
import { FINTECH } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

/** More than this late, and the pace was another one than the test is about. */
const LATE_MS = 10;
const TRIES = 5;
/** Asterisk is behind by so much at the most, for ten keys. */
const BEHIND_MS = 600;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

/** The keys at the bot, of keys pressed at this pace. */
async function dial(keys: string, onMs: number, offMs: number): Promise<string> {
  for (let time = 1; ; time++) {
    await using phone = await SipPhone.open({ address: FINTECH }, stack.ports);
    const callId = newCallId('fast-keys');
    const dialogue = await phone.call('102', { headers: [`X-Call-ID: ${callId}`] });
    await stack.bot.wait(callId, 'answered');
    const worstLateMs = await phone.rtp.press(keys, onMs, offMs);
    await sleep(BEHIND_MS);
    await phone.hangUp(dialogue);
    const { digits } = await stack.bot.wait(callId, 'closed');
    if (worstLateMs <= LATE_MS || time === TRIES) return digits;
  }
}

describe('each key reaches the bot once', () => {
  for (const [onMs, offMs] of [
    [60, 40],
    [40, 40],
    [60, 60],
    [100, 100],
  ] as const) {
    for (const keys of ['1234567890', '1122']) {
      test(`${keys}, ${onMs} ms each, pauses of ${offMs} ms`, async () => {
        assert.equal(await dial(keys, onMs, offMs), keys);
      });
    }
  }
});
