import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startMock } from '../test/bot-check-mock.ts';
import { type CheckReport, checkBot } from './check.ts';
import type { Verdict } from './finding.ts';
import { parseOptions } from './options.ts';
import { checkPlan } from './plan.ts';

/** Long enough for the mock on a busy machine, and short enough for all modes at once. */
const PATIENCE = {
  connectMs: 4_000,
  greetingMs: 1_500,
  greetingEndMs: 3_000,
  pingMs: 1_000,
  silenceMs: 500,
  responseMs: 2_500,
  offenceMs: 300,
};

let mock: Awaited<ReturnType<typeof startMock>>;
before(async () => {
  mock = await startMock();
});
after(() => mock.stop());

async function check(mode: string, ...args: string[]): Promise<CheckReport> {
  const url = `${args.includes('twilio') ? mock.url.replace(/asterisk$/, 'twilio') : mock.url}?mode=${mode}`;
  const plan = checkPlan(parseOptions(['--url', url, ...args]), undefined);
  return checkBot({ ...plan, patience: PATIENCE }, () => {});
}

/**
 * `timely`: passed; or advice, since on a machine that stood still the bot may have been too late.
 */
type Sign = Verdict | 'timely';

/** The findings with that verdict, as `step: detail`. */
function rows({ findings }: CheckReport, sign: Sign): string[] {
  return findings
    .filter(
      (found) => found.verdict === sign || (sign === 'timely' && ['pass', 'advice'].includes(found.verdict)),
    )
    .map(({ step, detail }) => `${step}: ${detail}`);
}

function assertRow(report: CheckReport, sign: Sign, row: RegExp): void {
  assert.ok(
    rows(report, sign).some((found) => row.test(found)),
    `no ${sign} ${row} in ${JSON.stringify(report.findings, null, 1)}`,
  );
}

/** What a call must show besides its result. */
type Signs = Partial<Record<Sign, readonly RegExp[]>>;

/** Steps of a whole conversation. */
const CONVERSATION = [
  /^connect: open after/,
  /^greeting: heard \d.* after the answer, for/,
  /^ping: answered/,
  /^silence: /,
  /^response: heard \d.* after the caller’s last word/,
  /^barge-in: `clear` \d/,
  /^key: 5 taken, audio/,
  /^second call: .*closed after/,
  /^hang-up: by the caller: closed after/,
];
const TORN_OFF = /^(greeting|ping|silence|response|barge-in|key|unknown event|second call): closed with/;
const HUNG_UP = /^hang-up: the bot hung up by/;

const MODES: readonly (readonly [mode: string, result: CheckReport['result'], signs: Signs])[] = [
  [
    'tone',
    'pass',
    { advice: [/^barge-in: the bot spoke on, without `clear`/], skip: [/^response: .*never paused/] },
  ],
  [
    'echo',
    'pass',
    { advice: [/^greeting: nothing heard/], pass: [/^response: heard while the caller spoke/] },
  ],
  ['burst', 'pass', { advice: [/^pace: all at once, up to 30\.0 s ahead/, /^barge-in: the bot spoke on/] }],
  ['fast', 'pass', { timely: [/^pace: [234]\.\d times real time, up to \d\.\d s ahead/] }],
  ['chunks', 'pass', { pass: [/^audio: .* messages of 138 ms \(most 138 ms, \d+ bytes\)/] }],
  [
    'barge-in',
    'pass',
    { timely: [/^barge-in: `clear` \d+ ms after the caller began, \d+\.\d s of audio cut/] },
  ],
  ['mark', 'pass', { pass: [/^marks: 5 asked for, 5 answered/] }],
  [
    'dtmf',
    'pass',
    { advice: [/^greeting: nothing/, /^response: nothing/], pass: [/^key: 5 taken, audio/, /^marks: 1/] },
  ],
  ['digits-out', 'fail', { fail: [/^audio: the bot sent no audio at all/], pass: [/^messages: .*dtmf ×1/] }],
  ['late', 'pass', { advice: [/^greeting: nothing heard for 1\.5 s/] }],
  ['slow&after_ms=1500', 'pass', { advice: [/^connect: open after [12]\.\d s/] }],
  [
    'second-try',
    'fail',
    { advice: [/^connect: open at try 2, after .* 503/], fail: [/^second call: .* 503/] },
  ],
  ['goodbye', 'incomplete', { pass: [/^hang-up: the bot hung up by hangup, \d+ ms still to be played/] }],
  [
    'pipecat-end',
    'incomplete',
    { pass: [/by close 1000, \d+ ms still to be played and 1800 ms of silence cut/] },
  ],
  ['close-1000', 'incomplete', { pass: [HUNG_UP] }],
  ['close-1006', 'fail', { fail: [TORN_OFF, /1006, 3\.\d s into the call/] }],
  ['close-1011', 'fail', { fail: [TORN_OFF, /1011/] }],
  ['lost', 'fail', { fail: [TORN_OFF] }],
  ['refuse', 'fail', { fail: [/^connect: Unexpected server response: 503 \(3 of 3 tries\)/] }],
  ['never', 'fail', { fail: [/^connect: no answer in time \(1 of 3 tries\)/] }],
  [
    'stop-reading',
    'fail',
    {
      fail: [
        /^ping: a ping was not answered/,
        /^key: a ping was not answered/,
        /^hang-up: by the caller: not closed within/,
      ],
    },
  ],
  [
    'garbage',
    'fail',
    {
      fail: [
        /^messages: not-json ×2 .*bad-field ×5 .*bad-base64 ×1 .*wrong-encoding ×2 .*binary ×1 .*oversize ×1/,
      ],
    },
  ],
  [
    'flood',
    'fail',
    {
      fail: [/^greeting: 50 messages in a row/, /^audio: the bot sent no audio/, /^messages: not-json ×5\d/],
    },
  ],
];

describe('the lab’s bot', { concurrency: true }, () => {
  for (const [mode, result, signs] of MODES) {
    test(`mode ${mode}: ${result}, and the reason is named`, async () => {
      const report = await check(mode);
      for (const [sign, patterns] of Object.entries(signs))
        for (const pattern of patterns) assertRow(report, sign as Sign, pattern);
      assert.equal(report.result, result);
    });
  }

  for (const args of [
    [],
    ['--dialect', 'twilio'],
    ['--framing', 'binary'],
    ['--encoding', 'pcma'],
    ['--encoding', 'pcm16', '--sample-rate', '16000'],
  ]) {
    test(`a bot that greets, listens and can be interrupted passes ${args.join(' ')}`, async () => {
      const report = await check('parrot', ...args);
      assert.deepEqual(rows(report, 'fail'), []);
      assert.equal(report.result, 'pass');
      for (const step of CONVERSATION) assertRow(report, 'timely', step);
    });
  }

  test('a bot made for Twilio that closes with 1011 or sends garbage is named too', async () => {
    const [closing, garbage] = await Promise.all([
      check('close-1011', '--dialect', 'twilio'),
      check('garbage', '--dialect', 'twilio'),
    ]);
    assertRow(closing, 'fail', TORN_OFF);
    assertRow(garbage, 'fail', /^messages: not-json ×2 .*binary ×1/);
  });
});
