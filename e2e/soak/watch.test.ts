import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted } from './watch.ts';

test('descriptors are counted by what they are, without the reserve of each event loop', () => {
  const idle = ['/dev/null', 'socket:[1]', 'pipe:[2]', 'pipe:[3]', 'socket:[9]'];
  const sockets = new Map([['1', '127.0.0.1:28190']]);
  const before = counted(idle, sockets);
  assert.deepEqual(
    [...before],
    [
      ['127.0.0.1:28190', 1],
      ['pipe', 2],
      ['socket', 1],
    ],
  );
  // A media worker has had its first call.
  assert.deepEqual(counted([...idle, '/dev/null'], sockets), before);
});
