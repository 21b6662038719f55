import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seeded } from '../../bot-check/speech-like.ts';
import { SpeechDetector } from './speech-detector.ts';

const power = (dbfs: number) => 10 ** (dbfs / 10);

/**
 * A detector that has heard `dbfs` of noise for a while, and a function that gives it frames and
 * returns its output.
 */
function listen(noiseDbfs: number) {
  const detector = new SpeechDetector();
  const push = (dbfs: number, frames = 1) => {
    const said: (string | undefined)[] = [];
    for (let i = 0; i < frames; i++) said.push(detector.push(power(dbfs), power(dbfs)));
    return said.map((word, i) => (word === undefined ? '' : `${word}@${i + 1}`)).filter(Boolean);
  };
  push(noiseDbfs, 200);
  return { detector, push };
}

describe('a speech detector', () => {
  test('says start at the third loud frame and stop 300 ms after the last', () => {
    for (const floor of [-90, -60, -45]) {
      const { push } = listen(floor);
      assert.deepEqual(push(floor + 11 > -48 ? floor + 11 : -40, 10), ['start@3']);
      assert.deepEqual(push(floor, 30), ['stop@15']);
    }
  });

  test('passes over what is no louder than 10 dB above the noise, or than -48 dBFS', () => {
    const { push } = listen(-50);
    assert.deepEqual(push(-41, 200), []);
    assert.deepEqual(listen(-90).push(-49, 20), []);
  });

  test('passes over clicks of two frames and lets speech have a gap of one', () => {
    const { push } = listen(-60);
    for (let i = 0; i < 50; i++) assert.deepEqual([...push(-20, 2), ...push(-60, 3)], []);
    assert.deepEqual([...push(-20, 2), ...push(-60, 1), ...push(-20, 1)], ['start@1']);
  });

  test('does not say stop in the pauses between words, nor for a softer end', () => {
    const { push } = listen(-60);
    push(-25, 5);
    for (let i = 0; i < 50; i++) assert.deepEqual([...push(-60, 14), ...push(-25, 3)], []);
    assert.deepEqual(push(-47, 20), []);
  });

  test('knows a floor that falls within 200 ms, and one that rises within seconds', () => {
    const { detector, push } = listen(-40);
    push(-65, 10);
    assert.ok(detector.threshold < power(-38));
    push(-65, 50);
    assert.deepEqual(push(-45, 3), ['start@3']);
    push(-42, 1500);
    assert.equal(detector.speaking, false);
    assert.ok(detector.threshold > power(-42));
  });

  test('hears a caller who speaks for a minute to the end', () => {
    const { detector, push } = listen(-60);
    const random = seeded(5);
    push(-25, 3);
    for (let i = 0; i < 200; i++) {
      assert.deepEqual(push(-25 - 6 * random(), 12), []);
      push(-60, 3);
    }
    assert.equal(detector.speaking, true);
  });

  test('keeps no loud frame from before it was of interest', () => {
    const { detector, push } = listen(-60);
    push(-20, 2);
    detector.observe(power(-60));
    assert.deepEqual(push(-20, 2), []);
  });
});
