import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CALLER_HZ, MARKER_HZ, SECOND_HZ } from '../mock-pipecat/src/tones.ts';
import { heardMs } from '../sipp/stream.ts';
import { expectCleanRtp, expectNear, expectNoViolations } from '../stack/expect.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start({
    bridge: { BOT_CONNECT_MS: '4000', BOT_CONNECT_TRIES: '2', BOT_RECONNECT_MS: '3000' },
  });
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

for (const { about, to } of [
  { about: 'refuses the connection (503)', to: '110' },
  { about: 'never answers the connection', to: '111' },
]) {
  test(`an AI that ${about}: the caller is never billed, hears the announcement and is let go with 503`, async () => {
    const { sip, heard } = await stack.phones.callOnce({ to, callId: newCallId('no-bot'), seconds: 20 });
    assert.equal(sip.status, 503);
    assert.ok(sip.statuses.includes(183), `early media announced: ${sip.statuses}`);
    assert.ok(heard.audibleMs > 500, `${heard.audibleMs} ms of announcement`);
  });
}

test('an AI that accepts after 3 s: ringing until then, and its first words are heard', async () => {
  const callId = newCallId('slow');
  const { sip, heard } = await stack.phones.callOnce({ to: '109', callId, seconds: 2 });
  assert.equal(sip.status, 200);
  assert.ok((sip.ringingMs ?? Infinity) < 500, `ringing after ${sip.ringingMs} ms`);
  expectNear('answer', sip.inviteToAnswerMs, 3000, 500);
  assert.ok((heard.firstAudioMs ?? Infinity) < 300);
  expectNoViolations(await stack.bot.wait(callId, 'closed'));
});

test('an AI that refuses first is asked again', async () => {
  const callId = newCallId('second-try');
  const { sip, heard } = await stack.phones.callOnce({ to: '120', callId, seconds: 2 });
  assert.equal(sip.status, 200);
  assert.ok(heardMs(heard, MARKER_HZ) > 1500);
});

test('an AI that closes with 1000 has ended the call', async () => {
  const callId = newCallId('close-1000');
  const { sip } = await stack.phones.callOnce({ to: '112', callId, seconds: 20 });
  assert.equal(sip.endedBy, 'them');
  expectNear('BYE', sip.byeAfterAnswerMs, 3000, 1000);
});

for (const { code, to } of [
  { code: 1006, to: '113' },
  { code: 1011, to: '114' },
]) {
  test(`an AI lost in mid-call (${code}) is called back: the caller keeps the line and hears it again`, async () => {
    const callId = newCallId('lost');
    const { sip, heard } = await stack.phones.callOnce({ to, callId, seconds: 8 });
    assert.equal(sip.endedBy, 'us');
    assert.ok(heardMs(heard, MARKER_HZ) > 2500, 'before');
    assert.ok(heardMs(heard, SECOND_HZ) > 2000, 'and after');
    const bot = await stack.bot.wait(callId, 'closed');
    assert.equal(bot.attempt, 2);
    assert.equal(bot.start?.reconnected, true);
    expectNoViolations(bot);
  });
}

test('an AI that hangs in mid-call: the caller hears a tone within 3 s, then the AI again', async () => {
  const callId = newCallId('hang');
  const { sip, heard } = await stack.phones.callOnce({ to: '124', callId, seconds: 10 });
  assert.equal(sip.endedBy, 'us');
  const said = heard.segments.findLast(({ sound }) => sound === MARKER_HZ);
  const next = heard.segments.find(
    ({ sound, fromMs }) => sound !== 'silence' && fromMs >= (said?.toMs ?? Infinity),
  );
  const gapMs = (next?.fromMs ?? Infinity) - (said?.toMs ?? 0);
  assert.ok(gapMs < 3_300, `${Math.round(gapMs)} ms of silence`);
  assert.notEqual(next?.sound, SECOND_HZ, 'a tone comes first');
  assert.ok(heardMs(heard, SECOND_HZ) > 2000, `${heardMs(heard, SECOND_HZ)} ms of the AI again`);
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.attempt, 2);
  assert.equal(bot.start?.reconnected, true);
  expectNoViolations(bot);
});

test('an AI that stays lost: the call ends after the time to reconnect', async () => {
  const { sip } = await stack.phones.callOnce({ to: '119', callId: newCallId('stays-lost'), seconds: 30 });
  assert.equal(sip.endedBy, 'them');
  assert.ok((sip.byeAfterAnswerMs ?? 0) > 3000, `BYE ${sip.byeAfterAnswerMs} ms after the answer`);
});

test('an AI that stops reading is still heard, and the call ends as ever', async () => {
  const callId = newCallId('deaf');
  const report = await stack.phones.callOnce({ to: '115', callId, seconds: 6 });
  const { sip, heard } = report;
  assert.equal(sip.endedBy, 'us');
  assert.ok(heardMs(heard, MARKER_HZ) > 5500, `${heardMs(heard, MARKER_HZ)} ms heard`);
  expectCleanRtp(report);
});

test('garbage from the AI does the call no harm, and the AI is told', async () => {
  const callId = newCallId('garbage');
  const { sip, heard } = await stack.phones.callOnce({ to: '116', callId, seconds: 6 });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(sip.endedBy, 'us');
  assert.ok(heardMs(heard, MARKER_HZ) > 4000, `${heardMs(heard, MARKER_HZ)} ms heard`);
  assert.ok((bot.media.heardMs[CALLER_HZ] ?? 0) > 5000);
  assert.ok(bot.errors.length > 0);
  expectNoViolations(bot);
});

test('an AI that sends nothing but garbage is closed with 1008', async () => {
  const callId = newCallId('flood');
  const call = stack.phones.callOnce({ to: '123', callId, seconds: 20 });
  const bot = await stack.bot.wait(callId, 'closed');
  assert.equal(bot.close?.code, 1008);
  assert.equal((await call).sip.status, 200);
});
