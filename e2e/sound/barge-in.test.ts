/** A caller who interrupts the AI, for a provider whose file turns on barge-in detection. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encoded, speechLike, tone as steady } from '../../bridge/bot-check/speech-like.ts';
import { AT_ONCE, type BotCall } from '../hands/bot.ts';
import { CALLER_HZ, decodeUlaw, encodeUlaw, MARKER_HZ, SECOND_HZ, tone } from '../mock-pipecat/src/tones.ts';
import { FRAME, Handset } from '../phones/handset.ts';
import { type Echo, Room } from '../phones/room.ts';
import { gaps, heardMs } from '../sipp/stream.ts';
import { expectNear, expectNoViolations } from '../stack/expect.ts';
import { ATTENTIVE } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const SILENT_BOT = '108';
const SLOT_MS = 20;
/** BARGE_IN_HOLD_MS of the provider. */
const HOLD_MS = 700;
/**
 * From the first packet of a voice to the event at the AI: three loud frames of four, and the
 * transport.
 */
const MEDIAN_REACTION_MS = 70;
const WORST_REACTION_MS = 150;
const SOFT_ECHO: Echo = { db: -20, delayMs: 120 };
const VOICE_DBFS = -18;
/** Interruptions that are timed: every third is a tone, the others are voices. */
const REACTIONS = 6;

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());

/** Coded anew: mu-law has two zeros, of which the mock says one. */
const aiVoice = (seed: number, ms: number) =>
  encodeUlaw(decodeUlaw(encoded(speechLike(seed, ms, VOICE_DBFS, 190), 'pcmu')));
const callerVoice = (seed: number, ms: number) => speechLike(seed, ms, VOICE_DBFS, 120);

/** A call whose caller hears and is heard in a room. */
async function place(about: string, echo = SOFT_ECHO) {
  const callId = newCallId(about);
  const phone = await Handset.call({ to: SILENT_BOT, callId, address: ATTENTIVE }, stack.ports);
  await stack.bot.wait(callId, 'answered');
  return { callId, phone, room: new Room(phone, echo) };
}

/** The AI's view once it has been told `count` times that the caller began to speak. */
async function told(callId: string, count: number): Promise<BotCall> {
  let bot: BotCall | undefined;
  await until(`the AI is told of speech, ${count} times`, 3000, async () => {
    [bot] = await stack.bot.calls({ call_id: callId });
    return starts(bot).length >= count;
  });
  return bot as BotCall;
}

const starts = (bot: BotCall | undefined) => bot?.speech.filter(({ state }) => state === 'start') ?? [];

/** The audio without its frames of silence. */
function sounding(audio: Uint8Array): Buffer {
  const frames = Array.from({ length: audio.length / FRAME }, (_, n) =>
    audio.subarray(n * FRAME, (n + 1) * FRAME),
  );
  return Buffer.concat(frames.filter((frame) => frame.some((byte) => byte !== 0xff)));
}

const ECHOES = [40, 120, 300].map((delayMs) => ({ db: -20, delayMs }));

describe('barge-in', { concurrency: true }, () => {
  after(() => stack.leaks.expectNone());

  test("the AI's own words come back at -20 dB: nobody takes them for the caller", async (t) => {
    const calls = ECHOES.map(async (echo, at) => {
      const { callId, phone } = await place('echo', echo);
      await using _ = phone;
      const words = aiVoice(11 + at, 12_000);
      await stack.bot.say(callId, words, AT_ONCE);
      await sleep(12_300);
      const bot = await stack.bot.wait(callId, 'started');
      assert.deepEqual(starts(bot), [], `an echo after ${echo.delayMs} ms was taken for speech`);
      assert.ok(sounding(phone.audio()).equals(sounding(words)), 'the words as they were said');
      return starts(bot).length;
    });
    const triggers = (await Promise.all(calls)).reduce((sum, count) => sum + count, 0);
    t.diagnostic(`${triggers} false triggers in ${ECHOES.length * 12} s of echo`);
  });

  test('a caller who speaks into the AI, voice or tone: it is told, waits, and on resume goes on where it stopped', async (t) => {
    const { callId, phone, room } = await place('resume');
    await using _ = phone;
    const words = aiVoice(21, 14_000);
    await stack.bot.say(callId, words, AT_ONCE);
    await sleep(1000);
    const reactionMs: number[] = [];
    for (let i = 1; i <= REACTIONS; i++) {
      const voice = i % 3 === 0 ? steady(CALLER_HZ, 500, VOICE_DBFS) : callerVoice(30 + i, 500);
      const spokeAtMs = await room.say(voice);
      const bot = await told(callId, i);
      reactionMs.push((starts(bot)[i - 1]?.atMs ?? Number.NaN) - spokeAtMs);
      await sleep(200);
      await stack.bot.send(callId, { event: 'resume' });
      await sleep(900);
    }
    const ranked = reactionMs.toSorted((a, b) => a - b);
    t.diagnostic(`told after ${ranked.map(Math.round)} ms`);
    assert.ok((ranked[REACTIONS >> 1] ?? Infinity) <= MEDIAN_REACTION_MS, `told after ${ranked} ms`);
    assert.ok((ranked.at(-1) ?? Infinity) <= WORST_REACTION_MS, `told after ${ranked} ms`);
    await until(
      'all was played',
      10_000,
      async () => sounding(phone.audio()).length >= sounding(words).length,
    );
    assert.ok(sounding(phone.audio()).equals(sounding(words)), 'nothing lost, nothing twice');
    assert.equal(
      starts(await stack.bot.wait(callId, 'started')).length,
      REACTIONS,
      'nothing else was taken for speech',
    );
  });

  test('a caller who speaks into the AI, and the AI clears: its old words are gone, and it is heard anew', async (t) => {
    const { callId, phone, room } = await place('clear');
    await using _ = phone;
    await stack.bot.say(callId, encodeUlaw(tone(MARKER_HZ, 10_000, 8000)), AT_ONCE);
    await sleep(1000);
    const spokeAtMs = await room.say(callerVoice(41, 1000));
    await told(callId, 1);
    const anew = Buffer.from(encodeUlaw(tone(SECOND_HZ, 400, 8000))).toString('base64');
    await stack.bot.send(callId, { event: 'clear' }, { event: 'media', payload: anew });
    await sleep(900);
    const heard = phone.heard();
    const bot = await stack.bot.wait(callId, 'clear');
    expectNoViolations(bot);
    const last = heard.segments.findLast(({ sound }) => sound === MARKER_HZ);
    const silentMs = (last?.toMs ?? Number.NaN) - SLOT_MS + phone.answeredAtMs - spokeAtMs;
    t.diagnostic(`the AI was silent ${Math.round(silentMs)} ms after the caller's first packet`);
    assert.ok(silentMs <= WORST_REACTION_MS + SLOT_MS, `silent after ${silentMs} ms`);
    assert.equal(heardMs(heard, MARKER_HZ) + (bot.cleared[0]?.ms ?? Number.NaN), 10_000, 'heard and cut');
    expectNear('heard anew', heardMs(heard, SECOND_HZ), 400, 1);
  });

  test('a caller who only coughs, and an AI that says nothing to it: after the hold it goes on by itself', async (t) => {
    const { callId, phone, room } = await place('cough');
    await using _ = phone;
    await stack.bot.say(callId, encodeUlaw(tone(MARKER_HZ, 3000, 8000)), AT_ONCE);
    await sleep(800);
    await room.say(callerVoice(51, 200));
    await told(callId, 1);
    await sleep(3400);
    const heard = phone.heard();
    const [gap, ...more] = gaps(heard);
    const heldMs = (gap?.toMs ?? Number.NaN) - (gap?.fromMs ?? Number.NaN);
    t.diagnostic(`held for ${Math.round(heldMs)} ms`);
    expectNear('the hold', heldMs, HOLD_MS, 2 * SLOT_MS);
    assert.deepEqual(more, []);
    assert.equal(heardMs(heard, MARKER_HZ), 3000);
  });
});
