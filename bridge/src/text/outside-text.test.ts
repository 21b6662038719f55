import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable, wellFormed } from './outside-text.ts';

test('what is not printable is replaced, what is too long is cut, all else stays', () => {
  assert.equal(printable('a\x1b[31m\r\nb\u0085\ud800\u2028\u202ec'), 'a�[31m��b����c');
  assert.equal(printable('+49 30 „Müller“ 😀'), '+49 30 „Müller“ 😀');
  assert.equal(printable('x'.repeat(300)).length, 256);
  assert.equal(printable('a😀', 2), 'a�');
});

test('values for a bot keep their lines and become well-formed', () => {
  assert.deepEqual(wellFormed({ a: 'x\ny', b: '\ud800', c: 'x'.repeat(9) }, 4), {
    a: 'x\ny',
    b: '�',
    c: 'xxxx',
  });
});
