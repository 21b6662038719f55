import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

const scripts = new URL('../../scripts/', import.meta.url).pathname;
const LINE_MAX = 100;
const CELL_MAX = 120;
let root: string;

/** Runs `copy_files` of a script, without its `main`; `settings` are lines of shell before it. */
async function copyFiles(script: string, self: string, settings: string): Promise<void> {
  const shell = `
    . <(sed -E '/^main( "\\$@")?$/d' "$1")
    ${settings}
    copy_files`;
  await promisify(execFile)('bash', ['-c', shell, self, join(scripts, script)]);
}

/** A Markdown file without its blocks of code, which hold neither links nor headings. */
const prose = async (path: string): Promise<string> =>
  (await readFile(path, 'utf8')).replace(/```.*?```/gs, '');

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(text: string): string[] {
  const seen = new Map<string, number>();
  return [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
    const shown = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = shown.replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** Broken relative links in all Markdown files below a directory, as `file: target`. */
async function deadLinks(directory: string): Promise<string[]> {
  const dead: string[] = [];
  for await (const file of glob('**/*.md', { cwd: directory })) {
    const text = await prose(join(directory, file));
    for (const [, target = '', , anchor] of text.matchAll(/\]\(([^)\s#]*)(#([^)\s]*))?[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue;
      const path = target === '' ? file : normalize(join(dirname(file), target));
      const isThere = await access(join(directory, path)).then(
        () => true,
        () => false,
      );
      const isAnchor =
        anchor === undefined || (isThere && anchors(await prose(join(directory, path))).includes(anchor));
      if (!isThere || !isAnchor) dead.push(`${file}: ${target}${anchor === undefined ? '' : `#${anchor}`}`);
    }
  }
  return dead;
}

/**
 * Faults in the layout of a document, as `file:line`: lines of prose and cells of tables that are
 * too long, rows of a table that were run together, headings without an empty line below them.
 */
function badLayout(file: string, text: string): string[] {
  const found: string[] = [];
  const lines = text.split('\n');
  let isCode = false;
  for (const [index, line] of lines.entries()) {
    const isFence = line.trimStart().startsWith('```');
    if (isFence) isCode = !isCode;
    if (isFence || isCode) continue;
    const isRow = line.trimStart().startsWith('|');
    const cells = isRow ? line.split('|').map((cell) => cell.trim()) : [line];
    const isTooLong = cells.some((cell) => cell.length > (isRow ? CELL_MAX : LINE_MAX));
    const isRunTogether = line.includes('|---') && !/^ *\|(-+\|)+$/.test(line);
    const isHeading = /^#+ /.test(line);
    if (isTooLong || isRunTogether || (isHeading && (lines[index + 1] ?? '') !== ''))
      found.push(`${file}:${index + 1}`);
  }
  return found;
}

describe('what the bundle brings to a VM', () => {
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bundle-links-'));
    await copyFiles('bundle.sh', join(scripts, 'bundle.sh'), `STAGE=${root}/bundle`);
  });
  after(() => rm(root, { recursive: true }));

  test('no link of its documents is dead', async () => {
    assert.deepEqual(await deadLinks(join(root, 'bundle')), []);
  });

  test('a link to a file or a heading that is not there is found', async () => {
    const documents = join(root, 'documents');
    await mkdir(documents);
    const links = '[a](#two-words) [b](other.md#x-y) [c](none.md) [d](#no) [e](other.md#no)';
    await writeFile(join(documents, 'page.md'), `# Two \`words\`\n${links}\n`);
    await writeFile(join(documents, 'other.md'), '## [X](page.md), Y\n');
    assert.deepEqual(await deadLinks(documents), [
      'page.md: none.md',
      'page.md: #no',
      'page.md: other.md#no',
    ]);
  });

  test('the index of docs/ names every page', async () => {
    const index = await prose(join(root, 'bundle/docs/README.md'));
    const missing: string[] = [];
    for await (const page of glob('*.md', { cwd: join(root, 'bundle/docs') })) {
      if (page !== 'README.md' && !index.includes(`](${page})`)) missing.push(page);
    }
    assert.deepEqual(missing, []);
  });

  test(`its documents have ${LINE_MAX} columns, cells of ${CELL_MAX} characters, and whole tables`, async () => {
    const found: string[] = [];
    for await (const file of glob('**/*.md', { cwd: join(root, 'bundle') }))
      found.push(...badLayout(file, await readFile(join(root, 'bundle', file), 'utf8')));
    assert.deepEqual(found, []);
    const page = `${'a'.repeat(101)}\n| ${'b'.repeat(120)} | c |\n| ${'d'.repeat(121)} |\n`;
    assert.deepEqual(badLayout('page.md', page), ['page.md:1', 'page.md:3']);
    const scars = '| a | |---| | b |\n# c\n\n## d\ne\n  | f |\n  |---|\n';
    assert.deepEqual(badLayout('page.md', scars), ['page.md:1', 'page.md:4']);
  });

  test('install.sh copies all of them, and the filter for fail2ban', async () => {
    const installed = join(root, 'installed');
    await copyFiles(
      'install.sh',
      join(root, 'bundle/install.sh'),
      `directory=${installed}; as_root() { "$@"; }`,
    );
    assert.deepEqual(await deadLinks(installed), []);
    await access(join(installed, 'docs/FIREWALL.md'));
    await access(join(installed, 'NOTICE'));
    await access(join(installed, 'asterisk/fail2ban/pipecat-bridge.conf'));
  });

  test('in an installation make bot-check and make call run its images, and build nothing', async () => {
    const installed = join(root, 'installed');
    await writeFile(join(installed, '.env'), 'VERSION=9.8.7\n');
    for (const [target, image] of [
      ['bot-check', 'bridge'],
      ['call', 'sipp'],
    ]) {
      const shell = `
        docker() { [ "$1" = ps ] || echo "docker $*"; }
        exec() { "$@"; }
        export -f docker exec
        bash scripts/${target}.sh`;
      const { stdout } = await promisify(execFile)('bash', ['-c', shell], { cwd: installed });
      const commands = stdout.split('\n').filter((line) => line.startsWith('docker '));
      assert.equal(commands.length, 1, stdout);
      assert.match(commands[0] ?? '', new RegExp(`^docker run .* pipecat-bridge/${image}:9\\.8\\.7 `));
    }
  });
});
