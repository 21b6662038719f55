import { test } from 'node:test';
import { parseSteps, play } from '../fuzz/comparison.ts';

/**
 * Lives of calls, as `what/who/ms` of each step. Each is played once for each of its events, and
 * that event is lost. Afterwards every call has its caller, every end its cause, every object in
 * Asterisk its owner, and each call one record and one callback.
 */
const LIVES: readonly (readonly [name: string, steps: string])[] = [
  ['a caller who hangs up', 'call-in/0/2000 far-end-hangs-up/0/500'],
  ['a caller who hangs up in the set-up', 'call-in/0/100 far-end-hangs-up/0/500'],
  ['a bot that hangs up', 'call-in/0/2000 bot-hangs-up/0/2000'],
  ['a hang-up by the API', 'call-in/0/2000 api-hangs-up/0/2000'],
  ['a transfer to a second leg, which ends', 'call-in/0/2000 transfer-bridge/0/12000 leg-ends/0/500'],
  [
    'a transfer to a second leg, and the caller ends',
    'call-in/0/2000 transfer-bridge/0/12000 far-end-hangs-up/0/500',
  ],
  ['a REFER', 'call-in/0/2000 transfer-refer/0/20000'],
  [
    'a caller who hangs up while away for a REFER',
    'call-in/0/2000 transfer-refer/0/700 far-end-hangs-up/0/500',
  ],
  ['a call of ours', 'order/0/10000 far-end-hangs-up/0/500'],
  ['a call of ours that is cancelled', 'order/0/500 api-hangs-up/0/500'],
  ['a call of somebody else', 'originate/0/10000 far-end-hangs-up/0/500'],
  ['a call of somebody else that they take back', 'originate/0/200 far-end-hangs-up/0/500'],
];
/** How far ends answer, and how long replies take, is another with each. */
const SEEDS = [1, 2, 3, 4, 5];

/** In between: time for two comparisons. */
const WAIT = 'wait-long/0/3000';

for (const [name, text] of LIVES) {
  test(`each event is lost once: ${name}`, async () => {
    const steps = text.split(' ');
    // The next step comes before any comparison, or after two.
    for (const life of [text, [...steps.slice(0, -1), WAIT, ...steps.slice(-1)].join(' ')]) {
      for (const seed of SEEDS) {
        const { model } = await play(parseSteps(life), seed);
        for (let lost = 1; lost <= model.told; lost++) {
          await play(parseSteps(life), seed, lost).catch((error: Error) => {
            throw new Error(`${life}, seed ${seed}, event ${lost} lost: ${error.message}`);
          });
        }
      }
    }
  });
}
