import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFeedLine } from './feed-line.ts';

test('what a process tells is read as it was written', () => {
  for (const line of [
    { type: 'event', event: { ids: [['a', 1]], name: 'call.started', data: '{"type":"call.started"}' } },
    { type: 'counts', stream: 'a', counts: { calls: 2, outbound: { acme: 1 } } },
    { type: 'last', metrics: [{ name: 'm', type: 'counter', values: [{ value: 1, labels: {} }] }] },
  ])
    assert.deepEqual(parseFeedLine(JSON.stringify(line)), line);
});

test('an answer of somebody else is no line', () => {
  for (const text of [
    '{}',
    '{"status":404,"title":"Not Found"}',
    '{"type":"counts","stream":"a"}',
    '{"type":"counts","stream":"a","counts":{"calls":-1,"outbound":{}}}',
    '{"type":"event","event":{"ids":[],"name":"a\\nevent: b","data":""}}',
    'not JSON',
  ])
    assert.throws(() => parseFeedLine(text));
});
