import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Admission } from './admission.ts';

function admission() {
  const state = { isOverloaded: false, isUnderWay: false, calls: 0, checks: 0 };
  const gate = {
    get isOverloaded() {
      return state.isOverloaded;
    },
    check: () => {
      state.checks += 1;
    },
  };
  const handingOver = {
    get isUnderWay() {
      return state.isUnderWay;
    },
  };
  const log = pino({ level: 'silent' });
  const made = new Admission({ gate, handingOver, maxCalls: () => 2, calls: () => state.calls, log });
  const answers = () => [made.refusal, made.orderRefusal, made.adoptionRefusal];
  return { made, state, answers };
}

test('a new call may begin up to the limit of calls, if the bridge is not overloaded', () => {
  const { state, answers } = admission();
  assert.deepEqual(answers(), [undefined, undefined, undefined]);
  state.calls = 2;
  assert.deepEqual(answers(), ['at-capacity', 'at-capacity', undefined]);
  state.isOverloaded = true;
  assert.deepEqual(answers(), ['overload', 'overload', undefined]);
});

test('while a successor has the app, callers who still come are taken, and orders are not', () => {
  const { state, answers } = admission();
  state.isUnderWay = true;
  assert.deepEqual(answers(), [undefined, 'handover', undefined]);
});

test('a hold ends by itself 10 s after the last one', (t) => {
  let nowMs = 1_000;
  t.mock.method(performance, 'now', () => nowMs);
  const { made, state, answers } = admission();
  made.suspend();
  nowMs += 9_000;
  made.suspend();
  nowMs += 9_999;
  assert.equal(made.isSuspended, true);
  assert.deepEqual(answers(), ['shutdown', 'shutdown', undefined]);
  nowMs += 1;
  assert.equal(made.isSuspended, false);
  assert.deepEqual(answers(), [undefined, undefined, undefined]);
  assert.deepEqual([made.isDraining, state.checks], [false, 2]);
});

test('a drain lasts; after the close not even adopted calls are taken', () => {
  const { made, state, answers } = admission();
  made.drain();
  assert.deepEqual([made.isDraining, state.checks], [true, 1]);
  assert.deepEqual(answers(), ['shutdown', 'shutdown', undefined]);
  made.close();
  assert.deepEqual(answers(), ['shutdown', 'shutdown', 'shutdown']);
});
