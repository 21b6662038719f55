import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CALLER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { heardMs } from '../sipp/stream.ts';
import {
  expectBothHeard,
  expectCleanRtp,
  expectGapless,
  expectNear,
  expectNoViolations,
} from '../stack/expect.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

test('caller and AI hear each other, evenly and without a gap', async () => {
  const callId = newCallId('audio');
  const report = await stack.phones.callOnce({ to: '102', callId, seconds: 5 });
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 4500);
  expectCleanRtp(report);
  expectGapless(report.heard);
  assert.deepEqual(report.heard.payloadTypes, [0]);
  assert.ok(
    (report.heard.firstAudioMs ?? Infinity) < 300,
    `AI heard ${report.heard.firstAudioMs} ms after the answer`,
  );
  expectNear('messages to the AI', bot.media.messages, report.spoke.packets, 25);
  assert.ok(
    bot.media.gapMs.p50 >= 18 && bot.media.gapMs.p50 <= 22,
    `messages ${bot.media.gapMs.p50} ms apart`,
  );
  assert.equal(bot.media.timestampGaps, 0);
});

test('an A-law caller is heard and hears, in A-law', async () => {
  const callId = newCallId('alaw');
  const report = await stack.phones.callOnce({ to: '102', callId, seconds: 3, codec: 'pcma' });
  expectBothHeard(report, await stack.bot.wait(callId, 'closed'), 2500);
  expectCleanRtp(report);
  assert.deepEqual(report.heard.payloadTypes, [8]);
});

test('the AI greets at once, and its greeting is heard from the start', async () => {
  const callId = newCallId('greeting');
  const report = await stack.phones.callOnce({ to: '100', callId, seconds: 4, quietMs: 10_000 });
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
  const speechMs = report.heard.audibleMs - heardMs(report.heard, CALLER_HZ);
  assert.ok(speechMs > 1500, `${speechMs} ms of greeting`);
  assert.ok((report.heard.firstAudioMs ?? Infinity) < 500, `greeting after ${report.heard.firstAudioMs} ms`);
});

test('what the caller says comes back from the lab bot after a pause', async () => {
  const callId = newCallId('parrot');
  const report = await stack.phones.callOnce({ to: '100', callId, seconds: 8, quietMs: 3500, speakMs: 1500 });
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
  const repeatedMs = heardMs(report.heard, CALLER_HZ);
  assert.ok(repeatedMs > 1000, `${repeatedMs} ms came back`);
});

test("the caller's digits (RFC 4733) reach the AI, and its answers the caller", async () => {
  const callId = newCallId('dtmf');
  const report = await stack.phones.callOnce({
    to: '108',
    callId,
    seconds: 5,
    digits: '5#1',
    digitsAfterMs: 1000,
  });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.digits, '5#1');
  assert.deepEqual(
    bot.marks.map(({ name, cleared }) => [name, cleared]),
    [
      ['digit-5', false],
      ['digit-#', false],
      ['digit-1', false],
    ],
  );
  expectNear('answers heard', heardMs(report.heard, SECOND_HZ), 600, 40);
  expectNoViolations(bot);
});

test("the AI's digits reach the caller", async () => {
  const callId = newCallId('digits-out');
  const report = await stack.phones.callOnce({ to: '121', callId, seconds: 3 });
  assert.equal(report.heard.digits, '12#');
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
});

test('numbers with a plus and the headers of a trusted provider reach the AI intact', async () => {
  const callId = newCallId('metadata');
  const report = await stack.phones.callOnce({
    to: '+9180000102',
    from: '+4915112345',
    callId,
    seconds: 1,
    header: ['X-Agent-ID: agent 7', 'X-Custom-Vars: plan=gold&city=K%C3%B6ln', 'X-Note: a=b&c+d'],
  });
  const { query, start, violations } = await stack.bot.wait(callId, 'closed');
  assert.deepEqual(violations, []);
  const expected = {
    call_id: callId,
    encoding: 'pcmu',
    sample_rate: '8000',
    direction: 'inbound',
    sip_provider: 'pb_fintech',
    from_number: '+4915112345',
    to_number: '+9180000102',
  };
  assert.partialDeepStrictEqual(query, expected);
  assert.partialDeepStrictEqual(start, {
    event: 'start',
    callId,
    call_id: callId,
    encoding: 'pcmu',
    sampleRate: 8000,
    direction: 'inbound',
    sip_provider: 'pb_fintech',
    from: '+4915112345',
    to: '+9180000102',
    sip_call_id: report.sip.sipCallId,
    custom_vars: { plan: 'gold', city: 'Köln' },
    headers: { 'X-Call-ID': callId, 'X-Agent-ID': 'agent 7', 'X-Note': 'a=b&c+d' },
  });
});

test('twenty calls at once all hear and are heard, in time and without a gap', async () => {
  const callId = newCallId('twenty');
  const { calls, exitCode, errors } = await stack.phones.call({
    to: '102',
    callId,
    calls: 20,
    rate: 10,
    seconds: 8,
  });
  assert.equal(exitCode, 0, errors);
  assert.equal(calls.length, 20);
  for (const report of calls) {
    const bot = await stack.bot.wait(report.sip.callId ?? '', 'closed');
    expectBothHeard(report, bot, 7000);
    expectCleanRtp(report);
    expectGapless(report.heard, bot);
  }
  assert.equal(new Set(calls.map(({ heard }) => heard.ssrcs[0])).size, 20);
});
