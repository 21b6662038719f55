import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const DOCKERFILES = ['asterisk', 'bench', 'bridge', 'e2e', 'e2e/mock-pipecat', 'e2e/sipp', 'node'];
const LOCKS = ['bridge', 'e2e/mock-pipecat'];
/** koffi brings a package for each platform, of which one is installed. */
const PLATFORM = /^@koromix\/koffi-/;

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const named = new Set(read('NOTICE').match(/[@\w][\w.+@/-]*\w[+]*/g));

interface Locked {
  readonly dev?: boolean;
  readonly license?: string;
}

/** The Debian packages that a Dockerfile installs. */
const debianPackages = (dockerfile: string): string[] =>
  [...dockerfile.matchAll(/apt-get install -y --no-install-recommends ([^&\n\\]+)/g)].flatMap(
    ([, names = '']) => names.trim().split(/\s+/),
  );

/** The packages of a lock file that an image has, by their licence. */
function modules(lock: string): [name: string, license: string | undefined][] {
  const { packages } = JSON.parse(lock) as { packages: Record<string, Locked> };
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path, { license }]) => [path.replace(/^.*node_modules\//, ''), license]);
}

test('NOTICE names every Debian package that an image installs', () => {
  const installed = DOCKERFILES.flatMap((folder) => debianPackages(read(`${folder}/Dockerfile`)));
  assert.ok(installed.includes('asterisk') && installed.includes('libcap2-bin'), 'the Dockerfiles were read');
  assert.deepEqual(
    installed.filter((name) => !named.has(name)),
    [],
  );
});

test('NOTICE names every npm package of the bridge and the mock, and its licence', () => {
  const installed = LOCKS.flatMap((folder) => modules(read(`${folder}/package-lock.json`)));
  assert.ok(installed.length > 50, 'the lock files were read');
  const missing = installed.filter(
    ([name, license = 'none']) => !(named.has(name) || PLATFORM.test(name)) || !named.has(license),
  );
  assert.deepEqual(missing, []);
});
