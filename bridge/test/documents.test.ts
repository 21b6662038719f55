import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { badLayout, commentedIn, deadLinks, documentsIn, longCommentLines } from './documents.ts';

const repository = new URL('../../', import.meta.url).pathname;
const documents = documentsIn(repository);
/** Its links are relative to the bundle, in which it stands at the top. */
const OF_THE_BUNDLE = ['scripts/INSTALL.md'];

describe('the documents of the repository', () => {
  test('are found', () => {
    for (const path of [
      'README.md',
      'CONTRIBUTING.md',
      'bridge/ARCHITECTURE.md',
      'e2e/README.md',
      'docs/API.md',
    ])
      assert.ok(documents.includes(path), path);
  });

  test('have no dead link', () => {
    assert.deepEqual(
      deadLinks(
        repository,
        documents.filter((path) => !OF_THE_BUNDLE.includes(path)),
      ),
      [],
    );
  });

  test('have short lines and cells, and headings and blocks of code that are complete', () => {
    assert.deepEqual(
      documents.flatMap((path) => badLayout(path, readFileSync(join(repository, path), 'utf8'))),
      [],
    );
  });

  test('are named by the index, if they are pages of docs/', () => {
    const pages = documentsIn(join(repository, 'docs')).filter((page) => page !== 'README.md');
    const index = readFileSync(join(repository, 'docs/README.md'), 'utf8');
    assert.deepEqual(
      pages.filter((page) => !index.includes(`](${page})`)),
      [],
    );
  });
});

describe('the comments outside TypeScript', () => {
  const files = commentedIn(repository);

  test('are found in scripts, settings, images and programs', () => {
    for (const path of [
      '.env.example',
      'compose.yaml',
      'asterisk/Dockerfile',
      'asterisk/maintenance',
      'asterisk/etc/extensions.conf',
      'scripts/cuts.sh',
      'bench/load/net.h',
    ])
      assert.ok(files.includes(path), path);
  });

  test('have short lines', () => {
    assert.deepEqual(
      files.flatMap((path) => longCommentLines(path, readFileSync(join(repository, path), 'utf8'))),
      [],
    );
  });

  test('a long one is found in each language, and a long line of code is not', () => {
    const long = 'a'.repeat(100);
    const lines = [
      `# ${long}`,
      `  ; ${long}`,
      `#${long}`,
      `/* ${long}`,
      ` * ${long}`,
      `// ${long}`,
      `int a; /* ${long} */`,
      `echo ${long}`,
      `a = b * ${long};`,
      `# ${'a'.repeat(98)}`,
    ];
    assert.deepEqual(
      longCommentLines('a.sh', lines.join('\n')),
      [1, 2, 3, 4, 5, 6, 7].map((line) => `a.sh:${line}`),
    );
  });
});

test('a dead link is found in each of its forms', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'documents-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'sub'));
  const links = [
    '# Two `words`',
    '[a](#two-words) [b](other.md#x-y) [c](none.md) [d](#no) [e](other.md#no)',
    '[f](<no where.md>) [g](none2.md "title") <a href="none3.md"> <img src=none4.png>',
    '[h][i] [j][k] [l][]',
    '[i]: none5.md',
    '[m]: other.md',
    '```\n[n](none6.md)\n```',
    '[o](sub/third.md) [p](https://x.example) `[q](none7.md)`',
  ];
  writeFileSync(join(folder, 'page.md'), links.join('\n'));
  writeFileSync(join(folder, 'other.md'), '## [X](page.md), Y\n');
  writeFileSync(join(folder, 'sub/third.md'), '[up](../page.md) [no](page.md)\n');
  assert.deepEqual(deadLinks(folder).sort(), [
    'page.md: #no',
    'page.md: [k]',
    'page.md: [l]',
    'page.md: no where.md',
    'page.md: none.md',
    'page.md: none2.md',
    'page.md: none3.md',
    'page.md: none4.png',
    'page.md: none5.md',
    'page.md: other.md#no',
    'sub/third.md: page.md',
  ]);
});

describe('a bad layout is found', () => {
  const long = 'a'.repeat(101);
  for (const [about, text, places] of [
    ['a long line', `${long}\nb\n`, [1]],
    ['a long cell', `| ${'b'.repeat(120)} | c |\n | ${'d'.repeat(121)} |\n`, [2]],
    ['a long line after a block of code in a list', `- a\n\n  \`\`\`\n  ${long}\n  \`\`\`\n${long}\n`, [6]],
    ['a long line after a block with longer marks', `\`\`\`\`\n\`\`\`\n${long}\n\`\`\`\`\n${long}\n`, [5]],
    ['a block of code without an end', `\`\`\`\n${long}\n`, [1]],
    ['rows that were run together', '| a | b ||---|---|\n', [1]],
    ['a heading without an empty line', '# a\nb\n', [1]],
  ] as const) {
    test(about, () => {
      assert.deepEqual(
        badLayout('page.md', text),
        places.map((line) => `page.md:${line}`),
      );
    });
  }
});
