import { test } from 'node:test';
import { parseSteps, play } from '../fuzz/comparison.ts';

/**
 * Sequences, found by random search, that the bridge once handled wrong: `what/who/ms` of each
 * step, and the seed of the rest.
 */
const SEQUENCES: readonly (readonly [name: string, seed: number, steps: string])[] = [
  [
    'an entry that is told after its call has ended is no second call',
    167880181,
    'late/0.002/0 call-in/0/8 bot-hangs-up/0/0',
  ],
  ['… nor where the bot was lost', 1144791907, 'late/0.002/0 call-in/0/10 bot-lost/0/0'],
  [
    'an entry of a callee that is told after the end is no dial of somebody else',
    1318308305,
    'originate/0/0 late/0.026/0 transfer-dialplan/0/9 order/0/0 far-end-hangs-up/0.5/15',
  ],
  [
    'a caller whose return from a REFER was found, and is told of after their call has ended, has no second call',
    0,
    'call-in/0.638/19 leg-ends/0.173/2004 late/0.816/33 transfer-bridge/0.393/0 bot-lost/0.887/1088 reachable/0.314/48 compare/0.044/0',
  ],
  [
    'a dial that was found gone, and whose answer is told of then, ends once',
    1224264461,
    'compare/0.341/0 late/0.697/0 wait/0.12/51 unreachable/0.65/1474 compare/0.157/55 originate/0.137/0 compare/0.712/2831 far-end-hangs-up/0.263/0',
  ],
];

for (const [name, seed, text] of SEQUENCES) {
  test(name, async () => {
    await play(parseSteps(text), seed);
  });
}
