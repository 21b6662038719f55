import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finding } from './finding.ts';
import { parseOptions } from './options.ts';
import { summary, table } from './report.ts';
import { mediaFigures } from './tally.ts';

test('what is not passed fails where it is required, else it is advised; advice lessens a pass', () => {
  const verdict = (isRequired: boolean, ok: boolean | undefined, advice?: string) =>
    finding('x', isRequired, { ok, detail: '', ...(advice === undefined ? {} : { advice }) }).verdict;
  assert.equal(verdict(true, false, 'do'), 'fail');
  assert.equal(verdict(false, false, 'do'), 'advice');
  assert.equal(verdict(true, true, 'do'), 'advice');
  assert.equal(verdict(true, true), 'pass');
  assert.equal(verdict(true, undefined), 'skip');
});

test('a row has its advice below, once, and the summary counts', () => {
  const findings = [
    finding('connect', true, { ok: true, detail: 'open' }),
    finding('ping', true, { ok: false, detail: 'none', advice: 'read' }),
  ];
  assert.deepEqual([...findings, ...findings].map(table()), [
    'connect        pass    open',
    'ping           FAIL    none\n                       → read',
    'connect        pass    open',
    'ping           FAIL    none',
  ]);
  const line = summary({ result: 'fail', findings, media: mediaFigures([]) });
  assert.equal(line, 'FAIL (1 passed, 0 advised, 1 failed, 0 not tried)');
});

test('empty options are as absent ones, and those that do not fit each other are refused', () => {
  const url = ['--url', 'wss://bot.example/{to}'];
  assert.deepEqual(parseOptions([...url, '--dialect', '', '--encoding', '']), parseOptions(url));
  assert.throws(
    () => parseOptions([...url, '--dialect', 'twilio', '--encoding', 'pcma']),
    /--dialect: twilio is pcmu/,
  );
  assert.throws(() => parseOptions([...url, '--sample-rate', '16000']), /--sample-rate: must be 8000/);
  assert.throws(() => parseOptions([]), /--url/);
});
