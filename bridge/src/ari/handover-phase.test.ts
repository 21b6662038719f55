import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandoverPhase } from './handover-phase.ts';

test('a step of a handover that has ended is not in it any more', () => {
  const phase = new HandoverPhase();
  const first = phase.begin('one');
  assert.equal(phase.isIn(first), true);
  phase.to('lost');
  assert.deepEqual([phase.isIn(first), phase.isElsewhere, phase.isUnderWay], [false, true, false]);
  phase.to('ours');
  const second = phase.begin('two');
  assert.deepEqual([phase.isIn(first), phase.isIn(second), phase.successor], [false, true, 'two']);
});

test('a phase follows only those that it can follow', () => {
  const phase = new HandoverPhase();
  assert.throws(() => phase.to('ready'), /no phase ready after ours/);
  phase.begin('one');
  assert.throws(() => phase.begin('two'), /no phase moving after moving/);
  phase.to('ready');
  phase.to('over');
  assert.throws(() => phase.to('lost'), /no phase lost after over/);
});
