/**
 * Wideband through the whole stack: tones that 8 kHz audio cannot carry, and raw audio instead of
 * JSON.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AT_ONCE } from '../hands/bot.ts';
import { encode } from '../mock-pipecat/src/format.ts';
import { Heard } from '../mock-pipecat/src/heard.ts';
import { goertzel, SECOND_HZ, tone, WIDE_CALLER_HZ, WIDE_MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { FRAME, Handset } from '../phones/handset.ts';
import { WIDE_RATE, WidePhone } from '../phones/wide-phone.ts';
import { expectBothHeard, expectCleanRtp, expectNear, expectNoViolations } from '../stack/expect.ts';
import { BINARY } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

/** Nothing plays these, in Hz: one in the lower band, three around the tones. */
const EMPTY_HZ = [2500, 5000, 5600, 6800];
const SLOT_MS = 20;
/** What the bridge sends ahead of time to Asterisk's WebSocket. */
const IN_HAND_MS = 40;

let stack: Stack;
let phone: WidePhone;
before(async () => {
  stack = await Stack.start();
  phone = await WidePhone.start();
});
after(async () => {
  await phone?.stop();
  await stack?.stop();
});
afterEach(() => stack.leaks.expectNone());

/** Levels of tones in the second second of what was heard, in dB of full scale. */
function levels(heard: Int16Array, ...hz: number[]): number[] {
  const second = heard.subarray(WIDE_RATE, 2 * WIDE_RATE);
  assert.equal(second.length, WIDE_RATE, `${heard.length} samples were heard`);
  return hz.map((one) => 20 * Math.log10((goertzel(second, one, WIDE_RATE) + 0.1) / 32768));
}

function expectWide(heard: Int16Array, report: (line: string) => void): void {
  const [wanted = -120, own = 0, ...empty] = levels(heard, WIDE_MARKER_HZ, WIDE_CALLER_HZ, ...EMPTY_HZ);
  const loudest = Math.max(own, ...empty);
  report(
    `caller: ${WIDE_MARKER_HZ} Hz at ${wanted.toFixed(0)} dB, elsewhere at most ${loudest.toFixed(0)} dB`,
  );
  assert.ok(wanted > -20, `${WIDE_MARKER_HZ} Hz at ${wanted} dB`);
  assert.ok(loudest < wanted - 20, `something else at ${loudest} dB`);
}

for (const codec of ['g722', 'opus'] as const) {
  test(`a caller in ${codec} hears the AI, and is heard, above what 8 kHz can carry`, async (t) => {
    const callId = newCallId(codec);
    expectWide(await phone.call('102', callId, codec), (line) => t.diagnostic(line));
    const bot = await stack.bot.wait(callId, 'closed');
    t.diagnostic(`AI: ${WIDE_CALLER_HZ} Hz for ${bot.media.heardMs[WIDE_CALLER_HZ]} ms`);
    assert.partialDeepStrictEqual(bot.start, { encoding: 'pcm16', sampleRate: 16_000, direction: 'inbound' });
    assert.ok((bot.media.heardMs[WIDE_CALLER_HZ] ?? 0) > 2500);
    assert.equal(bot.media.heardMs[WIDE_MARKER_HZ] ?? 0, 0, 'the AI heard itself');
    expectNoViolations(bot);
  });
}

test('an AI of 24 kHz and a callee in G.722 hear each other above what 8 kHz can carry', async (t) => {
  const callId = newCallId('24k');
  await stack.ari.originate({ to: '24102@wideband', callId, variables: { X_CODEC: 'pcm16', X_SR: '24000' } });
  const bot = await stack.bot.wait(callId, 'closed');
  expectWide(await phone.heard('24102'), (line) => t.diagnostic(line));
  t.diagnostic(`AI: ${WIDE_CALLER_HZ} Hz for ${bot.media.heardMs[WIDE_CALLER_HZ]} ms`);
  assert.partialDeepStrictEqual(bot.start, { encoding: 'pcm16', sampleRate: 24_000, direction: 'outbound' });
  assert.ok((bot.media.heardMs[WIDE_CALLER_HZ] ?? 0) > 2500);
  expectNoViolations(bot);
});

test('the control: by RTP, at 8 kHz, nothing of these tones gets through', async (t) => {
  const callId = newCallId('narrow');
  await stack.ari.originate({ to: '8102@wideband', callId, variables: { X_CODEC: 'pcmu', X_SR: '8000' } });
  const bot = await stack.bot.wait(callId, 'closed');
  const [leaked = 0] = levels(await phone.heard('8102'), WIDE_MARKER_HZ);
  t.diagnostic(
    `caller: ${WIDE_MARKER_HZ} Hz at ${leaked.toFixed(0)} dB; AI: ${JSON.stringify(bot.media.heardMs)}`,
  );
  assert.ok(leaked < -50, `${WIDE_MARKER_HZ} Hz at ${leaked} dB`);
  assert.equal(bot.media.heardMs[WIDE_CALLER_HZ] ?? 0, 0);
  // The tone's begin and end are clicks.
  expectNear('silence at the AI', bot.media.heardMs.silence, bot.media.messages * SLOT_MS, 2 * SLOT_MS);
});

/** How long each tone was heard, in ms. */
function soundsIn(heard: Int16Array): Record<string, number> {
  const sounds = new Heard();
  const frame = (WIDE_RATE * SLOT_MS) / 1000;
  for (let at = 0; at + frame <= heard.length; at += frame)
    sounds.push(heard.subarray(at, at + frame), WIDE_RATE, 2 * frame, undefined, 0);
  return sounds.view().heardMs;
}

test("by Asterisk's WebSocket too: a clear cuts what is queued, and the goodbye is heard to its end", async () => {
  const callId = newCallId('wide-clear');
  await stack.ari.originate({ to: '16108@wideband', callId });
  await stack.bot.wait(callId, 'answered');
  const words = (hz: number, ms: number) => encode(tone(hz, ms, WIDE_RATE), 'pcm16');
  await stack.bot.say(callId, words(WIDE_MARKER_HZ, 5000), AT_ONCE);
  await sleep(800);
  const media = { event: 'media', payload: words(SECOND_HZ, 300).toString('base64') };
  await stack.bot.send(callId, { event: 'clear' }, media, { event: 'hangup' });
  const bot = await stack.bot.wait(callId, 'closed');
  expectNoViolations(bot);
  const heardMs = soundsIn(await phone.heard('16108'));
  const playedMs = 5000 - (bot.cleared[0]?.ms ?? Number.NaN);
  // What Asterisk had in hand counts as played, and was cut all the same.
  expectNear('the old', heardMs[WIDE_MARKER_HZ], playedMs - IN_HAND_MS / 2, IN_HAND_MS / 2 + SLOT_MS);
  expectNear('the new', heardMs[SECOND_HZ], 300, SLOT_MS);
});

test('with binary framing, which start announces, both hear each other, and every byte arrives as it was sent', async () => {
  const callId = newCallId('binary');
  const report = await stack.phones.callOnce({ to: '102', callId, seconds: 3, local: BINARY });
  const bot = await stack.bot.wait(callId, 'closed');
  expectBothHeard(report, bot, 2500);
  expectCleanRtp(report);
  assert.equal(bot.start?.framing, 'binary');

  const echoId = newCallId('binary-echo');
  await using handset = await Handset.call({ to: '101', callId: echoId, address: BINARY }, stack.ports);
  await stack.bot.wait(echoId, 'answered');
  const words = randomBytes(50 * FRAME);
  handset.talk((frame) =>
    frame < 50 ? words.subarray(frame * FRAME, (frame + 1) * FRAME) : new Uint8Array(FRAME).fill(0xff),
  );
  await sleep(1500);
  assert.notEqual(handset.audio().indexOf(words), -1, 'what was said came back byte for byte');
});
