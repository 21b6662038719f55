/** `.env.example` and compose.yaml say the same of each setting as the bridge does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SECRETS, SETTINGS } from '../src/config/environment.ts';
import { needsRestart } from '../src/config/reloadable.ts';
import { RELOADABLE } from '../src/config/settings-file.ts';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

/** Settings of .env.example, and whether the text above them ends in `(restart)`. */
function explained(): Map<string, boolean> {
  const found = new Map<string, boolean>();
  for (const [, comment = '', names = ''] of read('.env.example').matchAll(
    /((?:^#.*\n)+)((?:^[A-Z_]+=.*\n)+)/gm,
  ))
    for (const line of names.trim().split('\n'))
      found.set(line.split('=')[0] ?? '', comment.trimEnd().endsWith('(restart)'));
  return found;
}

const compose = read('compose.yaml');
/** Names of a map of compose.yaml, by the line that begins it. */
function composeNames(start: RegExp, indent: number): string[] {
  const from = compose.slice(compose.search(start)).split('\n').slice(1);
  const line = new RegExp(`^ {${indent}}([A-Z_]+):`);
  const end = from.findIndex((text) => !line.test(text));
  return from.slice(0, end).map((text) => line.exec(text)?.[1] ?? '');
}
const inFile = composeNames(/^x-settings:$/m, 2);
const bridge = compose.slice(compose.search(/^ {2}bridge:$/m));
const inEnvironment = (/ {4}environment:\n((?: {6}[A-Z_]+:.*\n)+)/.exec(bridge)?.[1] ?? '')
  .trimEnd()
  .split('\n')
  .map((text) => text.trim().split(':')[0] ?? '');

test('.env.example says of each setting of the bridge whether it needs a restart', () => {
  const texts = explained();
  for (const name of SETTINGS.filter((name) => name !== 'PIPECAT_CA' && !name.endsWith('_DIR')))
    assert.equal(texts.get(name), needsRestart(name), name);
  assert.equal(texts.get('PIPECAT_CA_FILE'), false);
  assert.equal(texts.get('NODE_EXTRA_CA_CERTS'), true);
});

test('compose gives the bridge by file what applies on reload, and nothing else', () => {
  // PEM of several lines is no value of .env.
  const expected = [...RELOADABLE].filter((name) => name !== 'PIPECAT_CA');
  assert.deepEqual(inFile.sort(), expected.sort());
});

test('compose gives the bridge in its environment what needs a restart: a change of anything else restarts nothing', () => {
  const others = ['SETTINGS_FILE', 'NODE_EXTRA_CA_CERTS', ...SECRETS.map((name) => `${name}_FILE`)];
  const known = [...SETTINGS, ...others].filter((name) => needsRestart(name) || others.includes(name));
  assert.deepEqual(
    inEnvironment.filter((name) => !known.includes(name) || inFile.includes(name)),
    [],
  );
  const missing = SETTINGS.filter((name) => needsRestart(name) && !inEnvironment.includes(name));
  assert.deepEqual(missing, []);
});
