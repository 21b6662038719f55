/**
 * The file of settings that apply on reload: what is read of it, what is refused, what is stored.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadAtStart, storeSettings, withSettings, withSettingsFile } from '../src/config/settings-file.ts';
import { folder } from './reload-rows.ts';

/** A file with this text, and what is read of it. */
function read(t: TestContext, text: string) {
  const path = join(folder(t), 'settings.json');
  writeFileSync(path, text);
  const warnings: string[] = [];
  const environment = withSettingsFile({ SETTINGS_FILE: path }, (warning) => warnings.push(warning));
  return { environment: { ...environment, SETTINGS_FILE: undefined }, warnings };
}

test('a name that this version does not know is ignored and told where the file is read: a start must not end by it', (t) => {
  const { environment, warnings } = read(t, '{"MAX_CALLS":"7","NEW_SETTING":"x","OTHER":""}');
  assert.deepEqual(environment, { MAX_CALLS: '7', SETTINGS_FILE: undefined });
  assert.deepEqual(warnings, ['SETTINGS_FILE has settings that this version does not know: NEW_SETTING']);
});

test('such a name is refused where the file is checked; without a value it is nothing', () => {
  assert.throws(() => withSettings({}, '{"NEW_SETTING":"x"}'), /no reload applies: NEW_SETTING/);
  assert.throws(() => withSettings({}, '{"HTTP_PORT":"1"}'), /no reload applies: HTTP_PORT/);
  assert.deepEqual(withSettings({}, '{"NEW_SETTING":" ","MAX_CALLS":"7"}'), { MAX_CALLS: '7' });
});

test('a file that is named and missing is a fault: without it all its settings would be lost', (t) => {
  const missing = join(folder(t), 'settings.json');
  assert.throws(() => withSettingsFile({ SETTINGS_FILE: missing }, () => {}), /is missing.*make up/);
  assert.deepEqual(
    withSettingsFile({ MAX_CALLS: '7' }, () => {}),
    { MAX_CALLS: '7' },
  );
});

test('only settings with a value are stored, readable by this user alone', (t) => {
  const path = join(folder(t), 'settings.json');
  storeSettings(path, '{"MAX_CALLS":"7","NEW_SETTING":""}');
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { MAX_CALLS: '7' });
  assert.equal(statSync(path).mode & 0o077, 0);
  assert.equal(existsSync(`${path}.before`), false, 'there was nothing before');
});

test('what applied last is kept beside it, also where a second change comes before the first was seen to apply', (t) => {
  const path = join(folder(t), 'settings.json');
  const before = () => JSON.parse(readFileSync(`${path}.before`, 'utf8'));
  storeSettings(path, '{"MAX_CALLS":"7"}');
  storeSettings(path, '{"MAX_CALLS":"8"}');
  storeSettings(path, '{"MAX_CALLS":"9"}');
  assert.deepEqual(before(), { MAX_CALLS: '7' });
  assert.equal(statSync(`${path}.before`).mode & 0o077, 0);
  rmSync(`${path}.before`);
  storeSettings(path, '{"MAX_CALLS":"10"}');
  assert.deepEqual(before(), { MAX_CALLS: '9' });
});

test('a process that starts with settings of an update that failed takes those that applied before', (t) => {
  const path = join(folder(t), 'settings.json');
  const environment = { ARI_USERNAME: 'bridge', ARI_PASSWORD: 'secret', SETTINGS_FILE: path };
  const warnings: string[] = [];
  const start = () => loadAtStart(environment, (text) => warnings.push(text)).MAX_CALLS;
  storeSettings(path, '{"MAX_CALLS":"7"}');
  storeSettings(path, '{"MAX_CALLS":"a value of another version"}');
  assert.equal(start(), 7);
  assert.match(warnings.join(), /settings that applied before are used.*MAX_CALLS/s);
  rmSync(`${path}.before`);
  assert.throws(start, /MAX_CALLS/);
});
