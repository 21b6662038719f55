import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { expectBothHeard } from '../stack/expect.ts';
import { newCallId, Stack, type StackOptions, until } from '../stack/stack.ts';

let stack: Stack | undefined;
afterEach(() => stack?.stop());

async function start(options: StackOptions): Promise<Stack> {
  stack = await Stack.start(options);
  return stack;
}

async function expectACall(stack: Stack): Promise<void> {
  const callId = newCallId('works');
  const report = await stack.phones.callOnce({ to: '102', callId, seconds: 2 });
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 1500);
  await stack.leaks.expectNone();
}

test('ARI password wrong: the bridge lives, is not ready and says why; put right, it takes calls', async () => {
  const stack = await start({ without: ['bridge'] });
  await stack.startPart('bridge', { ARI_PASSWORD: 'not-the-password' });
  await until('the bridge says why', 10_000, async () =>
    /password|401|unauthori/i.test((await stack.readiness()).body),
  );
  assert.equal((await stack.readiness()).status, 503);
  const unserved = await stack.phones.callOnce({ to: '102', seconds: 20 });
  assert.equal(unserved.sip.status, 503, 'callers get the fallback meanwhile');
  assert.doesNotMatch(await stack.logs('bridge'), /not-the-password/);
  await stack.stopPart('bridge');
  await stack.startPart('bridge');
  await stack.ready();
  await expectACall(stack);
});

test('the AI is not there at the start: callers get the fallback; once it is there, calls work', async () => {
  const stack = await start({ without: ['mock'], bridge: { BOT_CONNECT_MS: '3000' } });
  await stack.ready();
  const { sip } = await stack.phones.callOnce({ to: '102', seconds: 20 });
  assert.equal(sip.status, 503);
  await stack.leaks.expectNone();
  await stack.startPart('mock');
  await expectACall(stack);
});

test('Asterisk goes away and comes back: the bridge is not ready meanwhile, and takes calls again by itself', async () => {
  const stack = await start({});
  const callId = newCallId('cut-off');
  const call = stack.phones.call({ to: '102', callId, seconds: 8 });
  await stack.bot.wait(callId, 'sound');
  await stack.stopPart('asterisk');
  await until('the bridge notices', 10_000, async () => (await stack.readiness()).status === 503);
  assert.equal((await stack.bot.wait(callId, 'closed')).close?.code, 1000);
  await call;
  await stack.startPart('asterisk');
  await stack.ready();
  await expectACall(stack);
});

test('SIGTERM to the bridge ends its calls in an orderly way', async () => {
  const stack = await start({});
  const callId = newCallId('terminated');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 30 });
  await stack.bot.wait(callId, 'sound');
  await stack.stopPart('bridge');
  const { sip } = await call;
  assert.equal(sip.endedBy, 'them');
  assert.equal((await stack.bot.wait(callId, 'closed')).close?.code, 1000);
  assert.deepEqual(await stack.ari.channels(), []);
  assert.deepEqual(await stack.ari.bridges(), []);
});
