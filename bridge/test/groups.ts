/**
 * Prints files for `node --test`: groups of test files that share a process. Loading the daemon and
 * a media worker costs 0.7 s of CPU in each process; a group does it once. A file that changes its
 * process, or that takes long, has a process of its own.
 *
 * Usage: `node --test $(node test/groups.ts [quick])`. `quick` leaves out what is slow on purpose:
 * files that start the bridge as processes, end threads, flood or draw lots. One file is run as
 * ever: `node --test FILE`.
 */
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const FILES = ['src/**/*.test.ts', 'bot-check/**/*.test.ts', 'test/**/*.test.ts', 'fuzz/*.test.ts'];
/** What a file says that has a process of its own. */
const ALONE = 'This file runs in a process of its own';
/** What a file says that `quick` leaves out. */
const SLOW = 'Slow on purpose: ';
const GROUPS = 20;
const isQuick = process.argv[2] === 'quick';
/** The first comment of a file says it. */
const isSlow = (text: string) => text.slice(0, text.indexOf('*/')).includes(SLOW);

const files = globSync(FILES)
  .map((path) => ({ path: resolve(path), bytes: statSync(path).size, text: readFileSync(path, 'utf8') }))
  .filter(({ text }) => !isQuick || !isSlow(text))
  .sort((one, other) => other.bytes - one.bytes || one.path.localeCompare(other.path));
const isAlone = ({ text }: { text: string }) => text.includes(ALONE);
const shared = files.filter((file) => !isAlone(file));

// The same folder and groups each time: a second try knows a test by its place.
const folder = join(
  tmpdir(),
  `bridge-tests-${createHash('sha256').update(process.cwd()).digest('hex').slice(0, 8)}`,
);
mkdirSync(folder, { recursive: true });
// Dealt out in turn and back, the largest first: groups of about the same size.
const groups = Array.from({ length: GROUPS }, (_, group) =>
  shared.filter((_, i) => {
    const turn = i % (2 * GROUPS);
    return group === (turn < GROUPS ? turn : 2 * GROUPS - 1 - turn);
  }),
);
const paths = groups.map((group, index) => {
  const path = join(folder, `group-${String(index + 1).padStart(2, '0')}.test.mjs`);
  writeFileSync(
    path,
    group.map(({ path }) => `import ${JSON.stringify(pathToFileURL(path).href)};\n`).join(''),
  );
  return path;
});
const alone = files.filter(isAlone).map(({ path }) => path);
// In turn: most files that run alone load the machine.
console.log(paths.flatMap((path, index) => [path, ...alone.slice(index, index + 1)]).join('\n'));
