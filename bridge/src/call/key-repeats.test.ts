import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRepeats } from './key-repeats.ts';

/** What Asterisk 22.10.1 told (`digit@ms`) of keys pressed for so long, with such pauses. */
const TOLD: readonly [pressed: string, onMs: number, offMs: number, told: string][] = [
  [
    '1234567890',
    60,
    40,
    '1@0 2@99 3@199 3@226 4@300 4@351 5@399 5@477 6@499 6@603 7@603 7@728 8@728 8@853 9@853 9@978 0@978 0@1103',
  ],
  [
    '1234567890',
    40,
    40,
    '1@0 2@80 3@160 3@205 4@239 4@330 5@330 5@455 6@455 6@580 7@581 7@705 8@706 8@831 9@831 9@956 0@956 0@1081',
  ],
  [
    '1234567890',
    40,
    40,
    '1@0 2@79 2@114 3@159 3@241 4@241 4@366 5@367 5@495 6@495 6@622 7@625 7@749 8@750 8@875 9@875 9@1011 0@1011 0@1137',
  ],
  ['1122', 60, 40, '1@0 1@100 2@199 2@225 2@302 2@351'],
  ['1122', 40, 40, '1@0 1@81 1@109 2@161 2@236 2@241 2@361'],
  ['1122', 40, 60, '1@0 1@99 1@105 2@200 2@230 2@300 2@355'],
  ['333333', 60, 40, '3@0 3@100 3@200 3@229 3@301 3@354 3@400 3@479 3@499 3@604'],
  ['333333', 40, 40, '3@0 3@80 3@160 3@205 3@240 3@331 3@331 3@456 3@456 3@581'],
  ['333333', 60, 40, '3@0 3@87 3@125 3@187 3@263 3@293 3@388 3@388 3@513 3@513 3@641'],
  ['1122', 60, 60, '1@0 1@120 2@240 2@359'],
  ['333333', 60, 60, '3@0 3@119 3@238 3@360 3@479 3@598'],
  ['333333', 100, 100, '3@0 3@201 3@401 3@600 3@800 3@999'],
];

for (const [pressed, durationMs, offMs, told] of TOLD) {
  test(`${pressed}, ${durationMs} ms each, pauses of ${offMs} ms (${told.slice(0, 20)}…)`, () => {
    const repeats = new KeyRepeats();
    const heard = told.split(' ').map((event) => {
      const [digit = '', ms] = event.split('@');
      return { digit, durationMs, atMs: 1_700_000_000_000 + Number(ms) };
    });
    const kept = heard.filter((key) => !repeats.isRepeat(key));
    assert.equal(kept.map(({ digit }) => digit).join(''), pressed);
  });
}

test('keys that Asterisk tells once all come through, at pauses of 45 ms or more', () => {
  for (const durationMs of [40, 60, 80, 100, 250]) {
    for (let offMs = 45; offMs < 300; offMs += 5) {
      for (const digits of ['33', '333333', '1122', '1212', '12131415']) {
        const repeats = new KeyRepeats();
        const dropped = [...digits].filter((digit, at) =>
          repeats.isRepeat({ digit, durationMs, atMs: 1e12 + at * (durationMs + offMs) }),
        );
        assert.deepEqual(dropped, [], `${digits} ${durationMs}/${offMs}`);
      }
    }
  }
});

test('a key of which Asterisk says no time comes through', () => {
  const repeats = new KeyRepeats();
  for (let count = 0; count < 3; count++)
    assert.ok(!repeats.isRepeat({ digit: '1', durationMs: 60, atMs: Number.NaN }));
});
