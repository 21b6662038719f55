/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';

const WAVES = 8;
const CALLS_A_WAVE = 8;

/** Numbers that look random and are the same in every run (a linear congruential generator). */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (this.#state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  isOneIn(odds: number): boolean {
    return this.below(odds) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** A bot that does anything in any order. */
async function misbehave(session: BotSession, dice: Dice): Promise<void> {
  const deeds = [
    () => session.speak(speech(1 + dice.below(10))),
    () => session.speak(speech(1).subarray(0, 7)),
    () => session.send({ event: 'clear' }),
    () => session.send({ event: 'mark', name: 'm' }),
    () => session.send({ event: 'dtmf', digits: '1' }),
    () => session.send({ event: 'hangup' }),
    () => session.send({ event: 'hangup', immediate: true }),
    () => session.send('garbage'),
    () => session.close(dice.pick([1000, 1001, 1011])),
    () => session.cut(),
  ];
  for (let i = dice.below(6); i > 0 && session.closed === undefined; i--) {
    dice.pick(deeds)();
    await delay(dice.below(15));
  }
}

/**
 * ARI that is slow, and sometimes refuses, before or after it did what was asked. Removals succeed:
 * otherwise nothing could clean up.
 */
function disturb(lab: Lab, dice: Dice): void {
  const isRefusal = () => (dice.isOneIn(40) ? 500 : undefined);
  lab.ari.before(/^(GET|POST|PUT) /, async () => {
    await delay(dice.below(6));
    return isRefusal();
  });
  lab.ari.before(/^DELETE /, async () => {
    await delay(dice.below(6));
    return undefined;
  });
  lab.ari.after(/^(GET|POST|PUT) /, isRefusal);
}

/** One call from its offer to its end, which the caller brings about if nobody else does. */
async function live(lab: Lab, dice: Dice): Promise<void> {
  const isOutbound = dice.isOneIn(4);
  const channel: FakeChannel = isOutbound ? lab.ari.originate() : lab.ari.inbound();
  if (isOutbound && !dice.isOneIn(4)) lab.ari.answered(channel);
  const rtp = () => lab.ari.channels.get(lab.ari.mediaIdOf(channel.id))?.rtp;
  for (let i = dice.below(8); i > 0; i--) {
    await delay(dice.below(12));
    rtp()?.send(speech(1));
  }
  lab.ari.hangUp(dice.isOneIn(6) ? lab.ari.mediaIdOf(channel.id) : channel.id);
  await delay(dice.below(10));
  lab.ari.hangUp(channel.id);
}

test('whatever happens in whatever order, every call ends and nothing is left', async (t) => {
  const seed = Number(process.env.CHAOS_SEED ?? 20_261_122);
  t.diagnostic(`CHAOS_SEED=${seed}`);
  const dice = new Dice(seed);
  const config = { BOT_CONNECT_MS: '300', BOT_RECONNECT_MS: '150', BOT_CONNECT_TRIES: '2' };
  const lab = await Lab.start(t, { config });
  disturb(lab, dice);
  lab.bot.decide = async () => {
    await delay(dice.below(20));
    return dice.pick(['accept', 'accept', 'accept', 'accept', 'never', 503] as const);
  };
  lab.bot.onSession = (session) => void misbehave(session, dice);
  for (let wave = 0; wave < WAVES; wave++) {
    const calls = Array.from({ length: CALLS_A_WAVE }, () => live(lab, dice));
    if (dice.isOneIn(3)) lab.ari.dropEvents();
    await Promise.all(calls);
    await until(async () => (await lab.metric('calls_active')) === 0, `the end of wave ${wave}`);
  }
  assert.ok(lab.logged('call ended').length > WAVES, 'most calls came to be');
  assert.equal(lab.logged('call started').length, lab.logged('call ended').length);
  const stranded = [...lab.ari.channels.values()].filter(({ inStasis }) => inStasis);
  assert.deepEqual(
    stranded.map(({ id }) => id),
    [],
    'channels left in Stasis',
  );
});
