import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOwn, type OwnKind, ownId, parseOwnId } from './asterisk-ids.ts';

const own = fc.record({
  kind: fc.constantFrom<OwnKind>('pcb', 'pcm', 'pct'),
  instance: fc.stringMatching(/^[0-9a-f]{8}$/),
  number: fc.oneof(
    fc.nat().map(String),
    fc.tuple(fc.nat(), fc.nat()).map(([call, leg]) => `${call}.${leg}`),
  ),
  callerId: fc.stringMatching(/^[0-9a-zA-Z.-]{1,40}$/),
});

test('what an id says is read back', () => {
  fc.assert(fc.property(own, (id) => assert.deepEqual(parseOwnId(ownId(id)), { ...id })));
});

test('no id of a channel is the beginning of another', () => {
  const property = fc.property(own, own, (one, other) => {
    const a = ownId({ ...one, kind: 'pcm' });
    const b = ownId({ ...other, kind: 'pcm' });
    assert.ok(a === b || !b.startsWith(a));
  });
  fc.assert(property);
  const media = { kind: 'pcm', instance: '0a1b2c3d', number: '1' } as const;
  assert.ok(!ownId({ ...media, callerId: '7.10' }).startsWith(ownId({ ...media, callerId: '7.1' })));
});

test('ids of version 0.1 are known as ours, of no instance', () => {
  assert.deepEqual(parseOwnId('pcm-1763800000.1~'), {
    kind: 'pcm',
    instance: '',
    number: '',
    callerId: '1763800000.1',
  });
  assert.equal(parseOwnId('pcb-1763800000.1')?.callerId, '1763800000.1');
  assert.equal(parseOwnId('1763800000.1'), undefined);
  assert.equal(parseOwnId('pc-0123'), undefined);
  assert.ok(isOwn('pct-1-7.1~', 'pct'));
  assert.ok(!isOwn('pc-0123', 'pcm'));
});
