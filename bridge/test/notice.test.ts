import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

/** Images of the bundle that hold npm packages, by the folder of their lock file. */
const IMAGES = { bridge: 'bridge', 'mock-pipecat': 'e2e/mock-pipecat' } as const;
/** Packages that the images for development are made from, with what is for tests. */
const DEVELOPMENT = ['bridge', 'e2e', 'e2e/mock-pipecat', 'bench'];
/** koffi brings a package for each platform, and installs one. NOTICE names them as one. */
const PLATFORM = /^@koromix\/koffi-.*/;
const OTHER_INSTALLERS =
  /^(npm (?!ci\b)(\S+ )*(install|i|add|exec)\b|npm .*(-g|--global)\b|npx |corepack |pip3? |gem |cargo |go |curl |wget |dpkg |ADD .*:\/\/)/;

const repository = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, repository), 'utf8');
const notice = read('NOTICE');

interface Locked {
  readonly dev?: boolean;
  readonly license?: string;
}

/** The commands of a Dockerfile, each as one line. */
const commands = (dockerfile: string): string[] =>
  dockerfile
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split(/\n|&&|\|\||[;|&()]/)
    .map((line) =>
      line
        .replace(/^\s*(RUN\s+)?(--\S+\s+)*(\w+=\S+\s+)*/, '')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    );

/** The Debian packages that a Dockerfile installs. */
const debianPackages = (dockerfile: string): string[] =>
  commands(dockerfile).flatMap((command) => {
    const [, names] = /^(?:apt|apt-get|aptitude) (?:.* )?install (.*)$/.exec(command) ?? [];
    return (names ?? '').split(' ').filter((name) => name !== '' && !name.startsWith('-'));
  });

/** The commands of a Dockerfile that install something in another way. */
const otherInstalls = (dockerfile: string): string[] =>
  commands(dockerfile).filter((command) => OTHER_INSTALLERS.test(command));

/** Debian's packages of the table, and those that only build images. */
function debianNotices(text: string): Set<string> {
  const [, table = '', builders = ''] =
    /main licences\n(.*?)\n\n.*?The packages (.*?) build these images/s.exec(text) ?? [];
  const rows = table.split('\n').map((line) => /^ {2}\S.*? {2,}(\S+)/.exec(line)?.[1] ?? '');
  return new Set([...rows, ...builders.split(/,\s+|\s+and\s+/)]);
}

/** The npm packages of an image and their licences. */
function npmNotices(text: string, image: string): Map<string, string> {
  const [, list = ''] = new RegExp(`^Image ${image} .*?:\\n\\n(.*?)\\n\\n\\S`, 'ms').exec(text) ?? [];
  const found = new Map<string, string>();
  let licence = '';
  for (const line of list.split('\n')) {
    const [, begun, names = ''] = /^ {2}(\S+)? +(.*)$/.exec(line) ?? [];
    licence = begun ?? licence;
    for (const name of names.split(/,\s*/)) if (name !== '') found.set(name.replace(/ \(.*/, ''), licence);
  }
  return found;
}

/** The packages of a lock file and their licences. */
function modules(lock: string, withDevelopment: boolean): Map<string, string> {
  const { packages } = JSON.parse(lock) as { packages: Record<string, Locked> };
  return new Map(
    Object.entries(packages)
      .filter(([path, { dev }]) => path !== '' && (withDevelopment || dev !== true))
      .map(([path, { license = 'none' }]) => [
        path.replace(/^.*node_modules\//, '').replace(PLATFORM, '@koromix/koffi'),
        license,
      ]),
  );
}

const sorted = (found: ReadonlyMap<string, string>) =>
  [...found].map(([name, licence]) => `${name}: ${licence}`).sort();

describe('NOTICE names', () => {
  const paths = globSync(['*/Dockerfile*', '*/*/Dockerfile*', 'Dockerfile*'], {
    cwd: repository,
    exclude: (path) => path.includes('node_modules'),
  }).filter((path) => !path.endsWith('.dockerignore'));

  test('every Debian package that an image installs', () => {
    const installed = paths.flatMap((path) => debianPackages(read(path)));
    assert.ok(
      installed.includes('asterisk') && installed.includes('libcap2-bin'),
      'the Dockerfiles were read',
    );
    const named = debianNotices(notice);
    assert.deepEqual(
      installed.filter((name) => !named.has(name)),
      [],
    );
  });

  test('all that is installed: no image installs in another way than by apt-get and npm ci', () => {
    assert.deepEqual(
      paths.flatMap((path) => otherInstalls(read(path))),
      [],
    );
  });

  for (const [image, folder] of Object.entries(IMAGES)) {
    test(`the npm packages of ${image}, with the licence of each, and no other`, () => {
      const installed = modules(read(`${folder}/package-lock.json`), false);
      assert.deepEqual(sorted(npmNotices(notice, image)), sorted(installed));
    });
  }

  test('the licences of the modules for development', () => {
    const given = DEVELOPMENT.flatMap((folder) => [...modules(read(`${folder}/package-lock.json`), true)]);
    const shipped = Object.keys(IMAGES).flatMap((image) => [...npmNotices(notice, image).values()]);
    const more = /Licences beyond those above are (.*?)\.\s*\n\n/s.exec(notice)?.[1]?.split(/,\s+|\s+and\s+/);
    assert.deepEqual(
      [...new Set(given.map(([, licence]) => licence))]
        .filter((licence) => !shipped.includes(licence))
        .sort(),
      [...(more ?? []), 'none'].sort(),
    );
    // In the older form of package.json, which the lock file does not copy.
    const silent = new Set(given.filter(([, licence]) => licence === 'none').map(([name]) => name));
    const named = /; ([^;]*?) \(MIT\) say it\s+there/s.exec(notice)?.[1]?.split(/,\s+|\s+and\s+/);
    assert.deepEqual([...silent].sort(), named?.sort());
  });
});

describe('what an image installs is found', () => {
  for (const [line, names] of [
    ['RUN apt-get update && apt-get install -y --no-install-recommends a b && x', ['a', 'b']],
    ['RUN apt-get install --no-install-recommends -y a', ['a']],
    ['RUN apt-get -y install a', ['a']],
    ['RUN apt-get install -y \\\n    a \\\n    # why\n    b', ['a', 'b']],
    ['RUN (apt-get update || true) && apt install a', ['a']],
    ['RUN --mount=type=cache apt-get install a; rm b', ['a']],
  ] as const) {
    test(line, () => {
      assert.deepEqual(debianPackages(line), names);
    });
  }

  for (const line of [
    'RUN npm install -g x',
    'RUN npm i -g x',
    'RUN A=b npm install x',
    'RUN npx x',
    'RUN curl -o x https://x.example',
    'ADD https://x.example /x',
  ]) {
    test(line, () => {
      assert.equal(otherInstalls(line).length, 1);
    });
  }

  test('but npm ci is what the lock file says', () => {
    assert.deepEqual(otherInstalls('RUN --mount=type=secret,id=ca A=b npm ci --omit=dev --no-audit'), []);
  });
});
