import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const COLUMNS_MAX = 100;
const repository = new URL('../../', import.meta.url).pathname;
const bridge = join(repository, 'bridge');
const source = join(bridge, 'src');
const page = readFileSync(join(bridge, 'ARCHITECTURE.md'), 'utf8');

/** The text below a heading, up to the next heading of the same level. */
function section(heading: string): string {
  return page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
}

/** Files that have a line of their own: a list item with the name and what the file is for. */
function described(heading: string): string[] {
  return [...section(heading).matchAll(/^- `([^`]+)`\s(.*)/gm)]
    .filter(([, , meaning = '']) => (meaning.match(/\S*\w\S*/g)?.length ?? 0) > 1)
    .map(([, name]) => name as string)
    .sort();
}

/** All files but tests. */
function filesOf(cwd: string, pattern: string): string[] {
  return globSync(pattern, { cwd })
    .filter((path) => !path.endsWith('.test.ts'))
    .sort();
}

describe('ARCHITECTURE.md', () => {
  test('has one line for each file of src', () => {
    assert.deepEqual(described('The rooms'), filesOf(source, '**/*.ts'));
  });

  test('has a heading for each room, and the files of a room below it', () => {
    const parts = section('The rooms').split(/^### /m).slice(1);
    const rooms = parts.map((part) => part.split(/[ \n]/)[0] as string);
    const folders = new Set(filesOf(source, '*/**/*.ts').map((path) => path.split('/')[0] as string));
    assert.deepEqual([...rooms].sort(), ['The', ...folders].sort());
    const strays = parts.flatMap((part, index) =>
      [...part.matchAll(/^- `([^`]+)`/gm)]
        .map(([, name = '']) => name)
        .filter((name) => (name.includes('/') ? name.split('/')[0] : 'The') !== rooms[index]),
    );
    assert.deepEqual(strays, []);
  });

  test('has one line for each file of the programs beside it', () => {
    const files = filesOf(bridge, '{bench,bot-check,fuzz,wire}/*.ts');
    assert.deepEqual(described('The programs beside it'), files);
  });

  test('names only files that there are, relative to src, bridge or the repository', () => {
    const names = [...page.matchAll(/`([\w.][\w./-]*\.(?:ts|md|json|yaml|sh|conf))`/g)].map(
      ([, name]) => name,
    );
    const isThere = (name = '') =>
      [source, bridge, repository].some((folder) => existsSync(join(folder, name)));
    assert.deepEqual(
      names.filter((name) => !isThere(name)),
      [],
    );
  });

  test('has pictures that name only files that there are', () => {
    const pictures = [...page.matchAll(/^```$(.*?)^```$/gms)].map(([, picture]) => picture).join('');
    const names = [...pictures.matchAll(/[a-z-]+\/[a-z-]+/g)].map(([name]) => name);
    assert.deepEqual(
      names.filter((name) => !existsSync(join(source, `${name}.ts`))),
      [],
    );
  });

  test(`has lines of at most ${COLUMNS_MAX} columns`, () => {
    assert.deepEqual(
      page.split('\n').filter((line) => [...line].length > COLUMNS_MAX),
      [],
    );
  });
});
