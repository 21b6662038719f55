import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callbackStatus, dialOutcome } from './outcome.ts';

test('causes of dials that failed, as Asterisk gives them for SIP statuses, become outcomes', () => {
  const seen: [string, number, string, string][] = [
    ['486', 17, 'busy', 'busy'],
    ['404', 1, 'invalid-number', 'error'],
    ['603', 21, 'rejected', 'error'],
    ['403', 21, 'rejected', 'error'],
    ['480', 19, 'no-answer', 'no-answer'],
    ['503', 34, 'unreachable', 'error'],
    ['500', 38, 'unreachable', 'error'],
    ['408', 18, 'no-answer', 'no-answer'],
    ['488', 58, 'failed', 'error'],
    ['410', 22, 'invalid-number', 'error'],
    ['484', 28, 'invalid-number', 'error'],
    ['CANCEL by ARI', 16, 'cancelled', 'error'],
    ['ring time ran out', 0, 'no-answer', 'no-answer'],
    ['a cause that nobody knows', 111, 'failed', 'error'],
  ];
  for (const [what, cause, outcome, status] of seen) {
    assert.equal(dialOutcome(cause), outcome, what);
    assert.equal(callbackStatus(dialOutcome(cause)), status, what);
  }
  assert.equal(callbackStatus('answered'), 'completed');
});
