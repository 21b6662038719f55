/** The file of settings that apply on reload: what is read of it, what is refused, what is stored. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { restoreSettings, storeSettings, withSettings, withSettingsFile } from '../src/config/settings-file.ts';
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

test('only settings with a value are stored, and the file before comes back', (t) => {
  const path = join(folder(t), 'settings.json');
  const stored = () => JSON.parse(readFileSync(path, 'utf8'));
  storeSettings(path, '{"MAX_CALLS":"7","NEW_SETTING":""}');
  assert.deepEqual(stored(), { MAX_CALLS: '7' });
  restoreSettings(path);
  assert.deepEqual(stored(), { MAX_CALLS: '7' }, 'the first one');
  storeSettings(path, '{"MAX_CALLS":"8"}');
  storeSettings(path, '{"MAX_CALLS":"9"}');
  assert.equal(statSync(path).mode & 0o077, 0);
  assert.equal(statSync(`${path}.before`).mode & 0o077, 0);
  restoreSettings(path);
  assert.deepEqual(stored(), { MAX_CALLS: '8' });
  restoreSettings(path);
  assert.deepEqual(stored(), { MAX_CALLS: '8' }, 'once only');
  assert.equal(existsSync(`${path}.before`), false);
});
