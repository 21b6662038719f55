/** One conversation of a telephone of ours: its audio, what the call does, and its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from '../mock-pipecat/src/format.ts';
import { CALLER_HZ, tone } from '../mock-pipecat/src/tones.ts';
import type { RtpEnd } from '../phones/rtp-end.ts';
import { LINES } from './kinds.ts';
import type { PlannedCall } from './plan.ts';
import type { World } from './world.ts';

const FRAME_MS = 20;
const FRAME_SAMPLES = 160;
const VOICE = encode(tone(CALLER_HZ, FRAME_MS, 8000), 'pcmu');
const LEG_TALK_MS = 2_000;

/** Speaks from now on, and leaves out what the network is to lose. */
export function speak(world: World, rtp: RtpEnd): void {
  rtp.onGrid((count) => {
    if (world.lossOneIn > 0 && count % world.lossOneIn === 0) return;
    rtp.send({ sequenceNumber: count, timestamp: count * FRAME_SAMPLES, payload: VOICE });
  });
}

/**
 * What the call does beside talking. It may fail: a bot or a bridge that is away does nothing. Then
 * the telephone hangs up.
 */
export async function doDeed(world: World, planned: PlannedCall, rtp: RtpEnd | undefined): Promise<void> {
  const { id, kind } = planned;
  const { slots, stack } = world;
  const tellBot = (message: Record<string, unknown>) => stack.bot.send(id, message);
  switch (kind.does) {
    case 'leg':
      return await secondLeg(world, planned);
    case 'refer':
      return await tellBot({ event: 'transfer', to: '+918045600' });
    case 'dialplan':
      return await tellBot({ event: 'transfer', mode: 'dialplan', context: 'human', to: 'reception' });
    case 'keys':
      await rtp?.press('12#', 100, 60);
      if (rtp !== undefined) speak(world, rtp);
      return await tellBot({ event: 'dtmf', digits: '7*' });
    case 'pause':
      await slots.about('POST', `/calls/${id}/recording`, { state: 'pause' });
      await sleep(500);
      return void (await slots.about('POST', `/calls/${id}/recording`, { state: 'resume' }));
    case 'delete':
      return void (await slots.about('DELETE', `/calls/${id}`));
    default:
      return undefined;
  }
}

/** The bot transfers the caller to somebody else, who talks and hangs up. */
async function secondLeg(world: World, { id, ringMs, kind }: PlannedCall): Promise<void> {
  const number = `${LINES[kind.line].prefix}9${id.split('-').slice(2).join('')}`;
  const taken = world.exchange.take(kind.line, number);
  taken.catch(() => undefined);
  await world.stack.bot.send(id, { event: 'transfer', to: number });
  using callee = await taken;
  callee.reply('180 Ringing');
  const gone = callee.gone(120_000);
  gone.catch(() => undefined);
  await Promise.race([sleep(ringMs), gone]);
  callee.reply('200 OK');
  speak(world, callee.rtp);
  const isGone = await Promise.race([sleep(LEG_TALK_MS, false), gone.then(() => true)]);
  if (!isGone) await callee.hangUp();
}

/** Waits until it is time to hang up: after this time, or when the run is over. */
export async function untilHangUp(world: World, talkMs: number): Promise<void> {
  await sleep(talkMs, undefined, { signal: world.over }).catch(() => undefined);
}
