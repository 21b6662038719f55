import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { badLayout, deadLinks, documentsIn } from './documents.ts';

const scripts = new URL('../../scripts/', import.meta.url).pathname;
let root: string;

/** Runs `copy_files` of a script, without its `main`; `settings` are lines of shell before it. */
async function copyFiles(script: string, self: string, settings: string): Promise<void> {
  const shell = `
    . <(sed -E '/^main( "\\$@")?$/d' "$1")
    ${settings}
    copy_files`;
  await promisify(execFile)('bash', ['-c', shell, self, join(scripts, script)]);
}

describe('what the bundle brings to a VM', () => {
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bundle-links-'));
    await copyFiles('bundle.sh', join(scripts, 'bundle.sh'), `STAGE=${root}/bundle`);
  });
  after(() => rm(root, { recursive: true }));

  test('no link of its documents is dead', async () => {
    assert.deepEqual(deadLinks(join(root, 'bundle')), []);
  });

  test('its documents have short lines, and whole tables', async () => {
    const bundle = join(root, 'bundle');
    const texts = documentsIn(bundle).map(async (file) =>
      badLayout(file, await readFile(join(bundle, file), 'utf8')),
    );
    assert.deepEqual((await Promise.all(texts)).flat(), []);
  });

  test('install.sh copies all of them, and the filter for fail2ban', async () => {
    const installed = join(root, 'installed');
    await copyFiles(
      'install.sh',
      join(root, 'bundle/install.sh'),
      `directory=${installed}; as_root() { "$@"; }`,
    );
    assert.deepEqual(deadLinks(installed), []);
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
