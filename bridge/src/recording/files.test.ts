import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiredRecordings, isRecordingName, type RecordingFile, recordingName } from './files.ts';

const DAY_MS = 86_400_000;
const NOW_MS = 1_000 * DAY_MS;

function file(name: string, ageMs: number, bytes = 100): RecordingFile {
  return { name, bytes, modifiedMs: NOW_MS - ageMs };
}

test('a name says when, and nothing of the call', () => {
  const name = recordingName(new Date('2026-11-22T13:46:01.999Z'), '00ff00ff00ff00ff');
  assert.equal(name, '20261122T134601Z-00ff00ff00ff00ff.wav');
  assert.ok(isRecordingName(name));
});

test('only names that we make are ours', () => {
  const others = [
    '',
    'a.wav',
    'x20261122T134601Z-00ff00ff00ff00ff.wav',
    '20261122T134601Z-00ff00ff00ff00ff.mp3',
  ];
  for (const name of [...others, '../20261122T134601Z-00ff00ff00ff00ff.wav'])
    assert.equal(isRecordingName(name), false, name);
});

test('what is too old goes', () => {
  const files = [file('new', DAY_MS), file('old', 31 * DAY_MS)];
  assert.deepEqual(expiredRecordings(files, { maxTotalBytes: 0, maxAgeMs: 30 * DAY_MS }, NOW_MS), ['old']);
});

test('the oldest go while all together are too large, and no more', () => {
  const files = [file('b', 2 * DAY_MS), file('c', DAY_MS), file('a', 3 * DAY_MS)];
  assert.deepEqual(expiredRecordings(files, { maxTotalBytes: 300, maxAgeMs: 0 }, NOW_MS), []);
  assert.deepEqual(expiredRecordings(files, { maxTotalBytes: 299, maxAgeMs: 0 }, NOW_MS), ['a']);
  assert.deepEqual(expiredRecordings(files, { maxTotalBytes: 100, maxAgeMs: 0 }, NOW_MS), ['a', 'b']);
});

test('what was written within the last minute stays: its call may be under way', () => {
  const files = [file('live', 59_000, 1_000), file('ended', 61_000, 1_000)];
  assert.deepEqual(expiredRecordings(files, { maxTotalBytes: 1, maxAgeMs: 1 }, NOW_MS), ['ended']);
});
