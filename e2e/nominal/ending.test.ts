import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { heardMs } from '../sipp/stream.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

for (const { about, to } of [
  { about: 'its hangup', to: '107' },
  { about: 'closing its WebSocket, as stock Pipecat bots do', to: '122' },
]) {
  test(`the AI ends the call by ${about}: its goodbye is heard to the last 20 ms, then the caller is hung up on`, async () => {
    const callId = newCallId('goodbye');
    const { sip, heard } = await stack.phones.callOnce({ to, callId, seconds: 15 });
    const bot = await stack.bot.wait(callId, 'closed');
    assert.equal(sip.endedBy, 'them');
    expectNear('goodbye heard', heardMs(heard, MARKER_HZ), 2000, 10);
    const restMs = (sip.byeAfterAnswerMs ?? Number.NaN) - (heard.lastAudioMs ?? Number.NaN);
    assert.ok(restMs > 0 && restMs < 500, `BYE ${restMs} ms after the goodbye`);
    assert.equal(bot.close?.code, 1000);
    expectNoViolations(bot);
  });
}

test('the AI can hang up at once, in the middle of its own speech', async () => {
  const callId = newCallId('immediate');
  const call = stack.phones.callOnce({ to: '103', callId, seconds: 15 });
  await stack.bot.wait(callId, 'sound');
  const askedAtMs = Date.now();
  await stack.bot.send(callId, { event: 'hangup', immediate: true });
  const { sip, heard } = await call;
  assert.equal(sip.endedBy, 'them');
  const byeAtMs = (sip.answeredAtMs ?? Number.NaN) + (sip.byeAfterAnswerMs ?? Number.NaN);
  assert.ok(byeAtMs - askedAtMs < 500, `BYE ${byeAtMs - askedAtMs} ms after the AI asked`);
  assert.ok(heardMs(heard, MARKER_HZ) < 5000);
});

test('the caller hangs up: the AI is told why, and its WebSocket is closed with 1000', async () => {
  const callId = newCallId('caller-ends');
  const { sip } = await stack.phones.callOnce({ to: '102', callId, seconds: 2 });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'us');
  assert.equal(bot.hangup?.cause, 16);
  assert.equal(bot.close?.code, 1000);
  assert.equal(bot.close?.by, 'bridge');
  const byeAtMs = (sip.answeredAtMs ?? Number.NaN) + (sip.byeAfterAnswerMs ?? Number.NaN);
  const toldMs = (bot.hangup?.atMs ?? Number.NaN) - byeAtMs;
  assert.ok(toldMs < 500, `the AI was told ${toldMs} ms after the BYE`);
  expectNoViolations(bot);
});
