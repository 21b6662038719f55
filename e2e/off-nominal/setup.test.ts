import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { expectBothHeard, expectNoViolations } from '../stack/expect.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

test('CANCEL while the AI is slow to accept: the caller is let go at once, and the AI hears no more of it', async () => {
  const callId = newCallId('cancel');
  const { sip } = await stack.phones.callOnce({
    scenario: 'caller-gives-up',
    to: '109',
    callId,
    giveUpMs: 1000,
  });
  assert.equal(sip.status, 487);
  assert.ok(sip.statuses.includes(180), 'the caller heard ringing');
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.answeredAtMs, undefined);
});

const GIVE_UP_MS = [1, 3, 5, 8, 12, 16, 20, 25, 30, 35, 40, 50, 60, 80, 100, 150, 200, 300];

test('hang-up at any moment of the set-up leaves nothing behind', async (context) => {
  for (const [about, to] of [
    ['a bot that accepts at once', '102'],
    ['a bot that greets', '100'],
    ['a bot that accepts after 3 s', '109'],
  ] as const) {
    await context.test(about, async () => {
      for (const giveUpMs of GIVE_UP_MS) {
        const callId = newCallId('give-up');
        const { sip } = await stack.phones.callOnce({ scenario: 'caller-gives-up', to, callId, giveUpMs });
        assert.ok(sip.status === 487 || sip.status === 200, `after ${giveUpMs} ms: ${sip.status}`);
      }
      await stack.leaks.expectNone();
    });
  }
});

test('many callers who give up at the same time leave nothing behind, and the next call is served', async () => {
  const callers = GIVE_UP_MS.slice(0, 8).map((giveUpMs) =>
    stack.phones.call({
      scenario: 'caller-gives-up',
      to: '102',
      calls: 5,
      rate: 20,
      giveUpMs,
      callId: newCallId('many'),
    }),
  );
  for (const { calls, exitCode, errors } of await Promise.all(callers)) {
    assert.equal(exitCode, 0, errors);
    assert.equal(calls.length, 5);
  }
  await stack.leaks.expectNone();
  const callId = newCallId('next');
  const report = await stack.phones.callOnce({ to: '102', callId, seconds: 3 });
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2500);
});

test('BYE right after the answer', async () => {
  for (const seconds of [0.1, 0.12, 0.15, 0.2]) {
    const callId = newCallId('short');
    const { sip } = await stack.phones.callOnce({ to: '102', callId, seconds });
    assert.equal(sip.status, 200);
    expectNoViolations(await stack.bot.wait(callId, 'closed'));
  }
});
