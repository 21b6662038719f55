import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { callbackStatus } from '../reports/callbacks.ts';
import { dialOutcome, OUTCOMES, type Outcome } from './outcome.ts';

const document = readFileSync(new URL('../../../docs/OUTCOMES.md', import.meta.url), 'utf8');

/** The rows of the table under a heading of docs/OUTCOMES.md, as cells. */
function rows(heading: string): string[][] {
  const section = document.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')));
}

/** What the table says of a code; `other 4xx` and `any other` hold for what is not named. */
function documented(heading: string, code: number): string {
  const table = rows(heading);
  const named = table.find(([, codes]) => codes?.split(', ').includes(String(code)));
  const others = table.find(
    ([, codes]) => codes === `other ${Math.floor(code / 100)}xx` || codes === 'any other',
  );
  return (named ?? others)?.[2] ?? '';
}

test('every final SIP status has the outcome that the documentation says', () => {
  for (let status = 300; status <= 699; status++) {
    // Whatever the cause.
    assert.equal(dialOutcome(16, status), documented('From the SIP status', status), `SIP ${status}`);
  }
});

test('every Q.850 cause has the outcome that the documentation says', () => {
  for (let cause = 0; cause <= 127; cause++) {
    assert.equal(dialOutcome(cause), documented('From the cause', cause), `cause ${cause}`);
  }
});

test('dials that failed, as Asterisk reports them, become outcomes and the status of a callback', () => {
  const seen: [string, number, number | undefined, Outcome, string][] = [
    ['486', 17, 486, 'busy', 'busy'],
    ['600', 17, 600, 'busy', 'busy'],
    ['404', 1, 404, 'invalid-number', 'error'],
    ['484', 28, 484, 'invalid-number', 'error'],
    ['410', 22, 410, 'invalid-number', 'error'],
    ['604', 1, 604, 'invalid-number', 'error'],
    ['603', 21, 603, 'rejected', 'error'],
    ['403', 21, 403, 'rejected', 'error'],
    ['480', 19, 480, 'no-answer', 'no-answer'],
    ['408', 18, 408, 'no-answer', 'no-answer'],
    ['503', 34, 503, 'unreachable', 'error'],
    ['500', 38, 500, 'unreachable', 'error'],
    ['488', 58, 488, 'failed', 'error'],
    ['CANCEL by ARI', 16, undefined, 'cancelled', 'error'],
    ['ring time ran out, by Asterisk', 19, 480, 'no-answer', 'no-answer'],
    ['ring time ran out', 0, undefined, 'no-answer', 'no-answer'],
    ['a cause that nobody knows', 111, undefined, 'failed', 'error'],
    ['a status that is none', 17, 42, 'busy', 'busy'],
  ];
  for (const [what, cause, sipStatus, outcome, status] of seen) {
    assert.equal(dialOutcome(cause, sipStatus), outcome, what);
    assert.equal(callbackStatus(outcome), status, what);
  }
  assert.equal(callbackStatus('answered'), 'completed');
});

test('the documentation names every outcome', () => {
  for (const outcome of OUTCOMES) assert.match(document, new RegExp(`^\\| \`${outcome}\` \\|`, 'm'));
});
