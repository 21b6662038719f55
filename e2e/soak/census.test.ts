import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences, type Holdings, type LiveCall, Persistence } from './census.ts';

const live: LiveCall[] = [{ callId: 'c', channelId: '1.1', state: 'active' }];
const held: Holdings = { channels: ['1.1', 'pcm-0123abcd-7-1.1~'], bridges: ['pcb-0123abcd-7-1.1'] };
const phones = new Set(['c']);

test('a call with its channel, media channel and mixing bridge is what there should be', () => {
  assert.deepEqual(differences(held, live, phones), []);
  assert.deepEqual(differences({ channels: [], bridges: [] }, [], new Set()), []);
});

test('what belongs to no call is a difference', () => {
  const more = { channels: [...held.channels, '2.2', 'pct-0123abcd-8.1-2.2~'], bridges: held.bridges };
  assert.deepEqual(differences(more, live, phones), [
    'channel 2.2 belongs to no call',
    'pct pct-0123abcd-8.1-2.2~ belongs to no call',
  ]);
});

test('a call needs exactly one of each', () => {
  assert.deepEqual(differences({ channels: ['1.1'], bridges: [] }, live, phones), [
    'call c has 0 of pcm',
    'call c has 0 of pcb',
  ]);
  const twice = { ...held, bridges: [...held.bridges, 'pcb-0123abcd-8-1.1'] };
  assert.deepEqual(differences(twice, live, phones), ['call c has 2 of pcb']);
});

test('a call that was transferred needs no media channel', () => {
  const away = [{ ...(live[0] as LiveCall), transfer: { status: 'completed' } }];
  assert.deepEqual(differences({ channels: ['1.1'], bridges: [] }, away, phones), []);
});

test('a call whose telephone has hung up is a difference', () => {
  assert.deepEqual(differences(held, live, new Set()), ['call c is live, and its telephone is not up']);
});

test('only what stays for longer than the limit counts', () => {
  const persistence = new Persistence(10);
  assert.deepEqual(persistence.note(0, ['a']), []);
  assert.deepEqual(persistence.note(5, ['a', 'b']), []);
  assert.deepEqual(persistence.note(11, ['a', 'b']), ['a']);
  assert.deepEqual(persistence.note(12, []), []);
  assert.deepEqual(persistence.note(30, ['a']), []);
});
