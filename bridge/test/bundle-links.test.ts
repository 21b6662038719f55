import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

const scripts = new URL('../../scripts/', import.meta.url).pathname;
/** The source is not in the bundle, so neither is what describes it. */
const SOURCE = ['bridge/ARCHITECTURE.md'];
let root: string;

/** Runs `copy_files` of a script, without its `main`; `settings` are lines of shell before it. */
async function copyFiles(script: string, self: string, settings: string): Promise<void> {
  const shell = `
    . <(sed -E '/^main( "\\$@")?$/d' "$1")
    ${settings}
    copy_files`;
  await promisify(execFile)('bash', ['-c', shell, self, join(scripts, script)]);
}

/** Relative links of all Markdown files below a directory that lead to nothing, as `file: target`. */
async function deadLinks(directory: string): Promise<string[]> {
  const dead: string[] = [];
  for await (const file of glob('**/*.md', { cwd: directory })) {
    const text = (await readFile(join(directory, file), 'utf8')).replace(/```.*?```/gs, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue;
      const path = normalize(join(dirname(file), target));
      const isThere = await access(join(directory, path)).then(
        () => true,
        () => false,
      );
      if (!isThere && !SOURCE.includes(path)) dead.push(`${file}: ${target}`);
    }
  }
  return dead;
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

  test('install.sh copies all of them, and the filter for fail2ban', async () => {
    const installed = join(root, 'installed');
    await copyFiles(
      'install.sh',
      join(root, 'bundle/install.sh'),
      `directory=${installed}; as_root() { "$@"; }`,
    );
    assert.deepEqual(await deadLinks(installed), []);
    await access(join(installed, 'docs/FIREWALL.md'));
    await access(join(installed, 'asterisk/fail2ban/pipecat-bridge.conf'));
  });
});
