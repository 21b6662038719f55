import fc from 'fast-check';
import { ModelLab } from '../test/model-lab.ts';
import { inVirtualTime, VirtualClock } from '../test/virtual-clock.ts';
import type { FuzzTarget } from './target.ts';

/** What can happen. `who` chooses the call, from 0 to below 1. */
export interface Step {
  readonly what: (typeof STEPS)[number];
  readonly who: number;
  readonly ms: number;
}

const STEPS = [
  'call-in',
  'call-in',
  'order',
  'originate',
  'far-end-hangs-up',
  'far-end-hangs-up',
  'bot-hangs-up',
  'bot-lost',
  'transfer-bridge',
  'transfer-refer',
  'transfer-dialplan',
  'api-hangs-up',
  'media-ends',
  'leg-ends',
  'wait',
  'wait',
  'wait-long',
  'disconnect',
  'connect',
  'unreachable',
  'reachable',
  'losses',
  'duplicates',
  'failures',
  'late',
  'fair',
  'compare',
  'restart',
  'kill',
] as const;

const step = fc.record<Step>({
  what: fc.constantFrom(...STEPS),
  who: fc.integer({ min: 0, max: 999 }).map((n) => n / 1_000),
  // Most happen in quick succession: at every moment of a set-up.
  ms: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 3_000 })),
});

function chosen<T>(all: Iterable<T>, who: number): T | undefined {
  const list = [...all];
  return list[Math.floor(who * list.length)];
}

function transfer(lab: ModelLab, who: number, request: object): void {
  const media = chosen(lab.bridge.media.open, who);
  if (media === undefined) return;
  lab.did(media.channelId, 'transfer');
  media.tell({ type: 'bot-transfer', request: request as never });
}

async function take(lab: ModelLab, { what, who, ms }: Step): Promise<void> {
  const { model } = lab;
  const { weather } = model;
  const media = chosen(lab.bridge.media.open, who);
  const telephone = chosen(lab.telephones, who) ?? '';
  switch (what) {
    case 'call-in':
      lab.callIn();
      break;
    case 'order':
      lab.order();
      break;
    case 'originate':
      lab.originate();
      break;
    case 'far-end-hangs-up':
      model.farEndHangsUp(telephone);
      break;
    case 'bot-hangs-up':
      if (media === undefined) break;
      lab.did(media.channelId, 'bot');
      media.tell({ type: 'bot-hangup', immediate: false, queuedMs: 0 });
      break;
    case 'bot-lost':
      if (media === undefined) break;
      lab.did(media.channelId, 'bot');
      media.tell({ type: 'bot-gone', how: 'lost', detail: 'cut', queuedMs: 0 });
      break;
    case 'transfer-bridge':
      transfer(lab, who, { to: '+4930555555', provider: 'carrier' });
      break;
    case 'transfer-refer':
      transfer(lab, who, { to: '+4930555555' });
      break;
    case 'transfer-dialplan':
      transfer(lab, who, { to: '100', mode: 'dialplan', context: 'desk' });
      break;
    case 'api-hangs-up':
      lab.did(telephone, 'api');
      lab.bridge.control.hangUp(telephone).catch(() => {});
      break;
    case 'media-ends': {
      const id = chosen(
        [...model.channels.keys()].filter((one) => one.startsWith('pcm-')),
        who,
      );
      if (id === undefined) break;
      for (const one of lab.telephones) if (id.includes(one)) lab.did(one, 'media');
      model.end(id, 16);
      break;
    }
    case 'leg-ends': {
      const legs = [...model.channels.keys()].filter((one) => one.startsWith('pct-'));
      model.farEndHangsUp(chosen(legs, who) ?? '', 17);
      break;
    }
    case 'wait-long':
      await lab.pass(ms * 20);
      break;
    case 'disconnect':
      lab.disconnect();
      break;
    case 'connect':
      if (model.listener === undefined) lab.connect();
      break;
    case 'unreachable':
    case 'reachable':
      weather.isReachable = what === 'reachable';
      break;
    case 'losses':
      weather.losses = who / 2;
      break;
    case 'duplicates':
      weather.duplicates = who;
      break;
    case 'failures':
      weather.failures = who / 2;
      break;
    case 'late':
      weather.eventMaxMs = who * 6_000;
      break;
    case 'fair':
      Object.assign(weather, { failures: 0, losses: 0, duplicates: 0, eventMaxMs: 5, isReachable: true });
      break;
    case 'compare':
      lab.compare();
      break;
    case 'restart':
      for (const id of lab.telephones) lab.did(id, 'restart');
      lab.disconnect();
      model.startAnew();
      break;
    case 'kill':
      lab.kill();
      break;
    case 'wait':
      break;
  }
  await lab.pass(ms);
}

/**
 * Plays a sequence, the same one for the same seed, and checks the invariants. `lost`: number of
 * the lost event, from 1.
 */
export async function play(steps: readonly Step[], seed: number, lost?: number): Promise<ModelLab> {
  const clock = new VirtualClock();
  return await inVirtualTime(clock, async () => {
    const lab = new ModelLab(clock, seed);
    lab.model.lost = lost;
    for (const one of steps) await take(lab, one);
    await lab.finish();
    return lab;
  });
}

/** Reads steps that are written `what/who/ms`. */
export function parseSteps(text: string): Step[] {
  return text.split(' ').map((one) => {
    const [what, who, ms] = one.split('/');
    return { what: what as Step['what'], who: Number(who), ms: Number(ms) };
  });
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'comparison: no call ends wrongly, none stays without its caller, nothing in Asterisk without its owner',
    property: fc.asyncProperty(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      async (steps, seed) => void (await play(steps, seed)),
    ),
  },
];
