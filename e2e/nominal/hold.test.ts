import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CALLER_HZ } from '../mock-pipecat/src/tones.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start({ bridge: { MEDIA_TIMEOUT_MS: '2000' } });
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

test('a caller who holds for longer than the media time-out comes back, at another media port', async () => {
  const callId = newCallId('hold');
  const times = { ringMs: 2000, holdMs: 4000, seconds: 3 };
  const { sip } = await stack.phones.callOnce({ scenario: 'caller-holds', to: '102', callId, ...times });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'us');
  const held = bot.events.filter(({ event }) => event === 'hold' || event === 'unhold');
  assert.deepEqual(
    held.map(({ event }) => event),
    ['hold', 'unhold'],
  );
  expectNear('hold', (held[1]?.atMs ?? 0) - (held[0]?.atMs ?? 0), 4000, 300);
  expectNear('the AI heard the caller', bot.media.heardMs[CALLER_HZ], 5000, 500);
  expectNear('the AI heard all the time', bot.media.audioMs, 9000, 500);
  expectNoViolations(bot);
});

test('a session that Asterisk has to refresh goes on', async () => {
  const callId = newCallId('timer');
  const { sip } = await stack.phones.callOnce({
    scenario: 'caller-refreshed',
    to: '102',
    callId,
    ringMs: 2000,
    seconds: 10,
    header: ['Supported: timer', 'Session-Expires: 90;refresher=uas'],
  });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'us');
  expectNear('the AI heard the caller', bot.media.heardMs[CALLER_HZ], 47_000, 1500);
  expectNoViolations(bot);
});

test('keys by SIP INFO reach the AI, and its keys the caller', async () => {
  const callId = newCallId('info');
  const call = stack.phones.call({
    scenario: 'caller-informs',
    to: '108',
    callId,
    local: TRUNK,
    seconds: 3,
    digits: '5',
    digitsAfterMs: 500,
  });
  await stack.bot.wait(callId, 'dtmf');
  await stack.bot.send(callId, { event: 'dtmf', digits: '1w#' });
  const { messages } = await call;
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.digits, '5');
  const infos = messages.filter(({ sent, startLine }) => !sent && startLine.startsWith('INFO'));
  assert.deepEqual(
    infos.map(({ body }) => /Signal= ?(\S)/.exec(body)?.[1]),
    ['1', '#'],
  );
  const [first = { timeMs: 0 }, second = { timeMs: 0 }] = infos;
  assert.ok(second.timeMs - first.timeMs > 500, 'with the pause between them');
});

test("a pause within the AI's digits is heard as one", async () => {
  const callId = newCallId('pause');
  const call = stack.phones.callOnce({ to: '108', callId, seconds: 4 });
  await stack.bot.wait(callId, 'answered');
  await stack.bot.send(callId, { event: 'dtmf', digits: '1,w2' });
  assert.equal((await call).heard.digits, '12');
  await until(
    'the call is over',
    5_000,
    async () => (await stack.bot.calls({ call_id: callId }))[0]?.state === 'closed',
  );
});
