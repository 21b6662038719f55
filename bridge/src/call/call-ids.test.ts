import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallIds, isUsableId } from './call-ids.ts';

test('an id that no log, URL or terminal could carry is no id', () => {
  const bad = [
    '',
    ' ',
    '.',
    '..',
    'x'.repeat(129),
    'a\nb',
    'nul\0',
    'a\u202eb',
    'a\u2028b',
    'a\ud800',
    '\x7f',
  ];
  for (const id of bad) assert.equal(isUsableId(id), false, JSON.stringify(id));
  for (const id of ['a', 'a b', 'a/b', '#7', 'ü', '.a', '+49']) assert.equal(isUsableId(id), true, id);
  assert.equal(isUsableId(undefined), false);
});

test('of two live calls the first one keeps the id; when it has ended the id is free', () => {
  const live = new Set(['1.1', '1.2']);
  const ids = new CallIds((channel) => live.has(channel));
  assert.equal(ids.claim('1.1', 'sales'), true);
  assert.equal(ids.claim('1.1', 'sales'), true, 'asked again');
  assert.equal(ids.claim('1.2', 'sales'), false);
  live.delete('1.1');
  assert.equal(ids.claim('1.2', 'sales'), true);
});

test('nobody gets the id of a channel but its own call', () => {
  const ids = new CallIds((channel) => channel === 'theirs');
  for (const id of ['1763800000.42', 'pbx-1763800000.42', 'pc-0123', 'pcm-1763800000.1~', 'theirs'])
    assert.equal(ids.claim('1763800000.7', id), false, id);
  assert.equal(ids.claim('1763800000.7', '1763800000.7'), true);
  assert.equal(ids.reserve('pc-1', 'theirs'), false);
});

test('the id of an order stays its own after the call, until the order came to nothing', () => {
  const ids = new CallIds(() => false);
  assert.equal(ids.reserve('pc-1', 'order-1'), true);
  assert.equal(ids.claim('1.1', 'order-1'), false);
  assert.equal(ids.reserve('pc-1', 'order-1'), true);
  ids.forget('order-1');
  assert.equal(ids.claim('1.1', 'order-1'), true);
});
