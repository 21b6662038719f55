import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGate, gateVariable } from './gate-variable.ts';

test('an app has a gate of its own', () => {
  assert.equal(gateVariable('my-app'), 'PIPECAT_GATE_my-app');
});

test('a closed gate is a Unix time in s, a few seconds ahead; an open one is empty', () => {
  assert.equal(formatGate('closed', 1_764_280_000_001), '1764280006');
  assert.equal(formatGate('stopping', 1_764_280_000_000), '1764280005 stopping');
  assert.equal(formatGate('open', 1_764_280_000_000), '');
});
