import assert from 'node:assert/strict';
import fc from 'fast-check';
import { keyParts } from '../src/call/dtmf.ts';
import { KeyRepeats } from '../src/call/key-repeats.ts';
import type { FuzzTarget } from './target.ts';

const KEY_MS = 200;
const PAUSE_MS = 500;

/**
 * A caller presses keys, each long enough and with a pause. Asterisk reports each key once, at its
 * end.
 */
const pressed = fc.array(
  fc.record({
    digit: fc.oneof(fc.constantFrom('1', '2'), fc.constantFrom(...'0123456789*#ABCD')),
    durationMs: fc.oneof(fc.constantFrom(80, 100, 120), fc.integer({ min: 80, max: 2_000 })),
    pauseMs: fc.oneof(fc.integer({ min: 110, max: 300 }), fc.integer({ min: 110, max: 5_000 })),
  }),
  { maxLength: 40 },
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'keys sent: all that was ordered, in order, few at a time, and the pauses as long as they should be',
    property: fc.property(
      fc.string({ unit: fc.constantFrom(...'0123456789ABCDabcd*#wW,'), maxLength: 128 }),
      (digits) => {
        const parts = keyParts(digits);
        const keys = parts.map((part) => part.keys ?? '').join('');
        assert.equal(keys, digits.replaceAll(/[wW,]/g, '').toUpperCase());
        for (const part of parts) assert.ok(part.keys === undefined || /^[\dA-D*#]{1,5}$/.test(part.keys));
        const pauses = digits.match(/[wW,]/g)?.length ?? 0;
        const ms = parts.reduce((sum, part) => sum + part.ms, 0);
        assert.equal(ms, pauses * PAUSE_MS + keys.length * KEY_MS);
        // Where the pauses are: what comes before each is played before it.
        const shown = parts.map((part) => part.keys ?? 'w'.repeat(part.ms / PAUSE_MS)).join('');
        assert.equal(shown, digits.toUpperCase().replaceAll(/[W,]/g, 'w'));
      },
    ),
  },
  {
    name: 'keys heard: each of a person is one, whatever its digit and length',
    property: fc.property(pressed, (keys) => {
      const repeats = new KeyRepeats();
      let atMs = 1_790_000_000_000;
      for (const { digit, durationMs, pauseMs } of keys) {
        atMs += pauseMs + durationMs;
        assert.equal(repeats.isRepeat({ digit, durationMs, atMs }), false);
      }
    }),
  },
  {
    name: 'keys heard: of any events the first is a key, no more are passed over than came twice',
    property: fc.property(
      fc.array(
        fc.record({
          digit: fc.oneof(fc.constantFrom('1', '2', '#'), fc.string({ maxLength: 3 })),
          durationMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.double(), fc.constant(-1)),
          afterMs: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.constantFrom(Number.NaN, -500, 1e12)),
        }),
        { maxLength: 200 },
      ),
      (events) => {
        const repeats = new KeyRepeats();
        let atMs = 1_790_000_000_000;
        const told = new Map<string, number>();
        for (const { digit, durationMs, afterMs } of events) {
          if (!Number.isNaN(afterMs)) atMs += afterMs;
          const isRepeat = repeats.isRepeat({
            digit,
            durationMs,
            atMs: Number.isNaN(afterMs) ? afterMs : atMs,
          });
          const name = `${digit} ${durationMs}`;
          const before = told.get(name) ?? 0;
          if (isRepeat) assert.ok(before > 0, 'each that is passed over repeats one that was told');
          told.set(name, isRepeat ? before - 1 : before + 1);
        }
      },
    ),
  },
];
