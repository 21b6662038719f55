import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';

const LINES_MAX = 400;
/**
 * The spine, from top to bottom. A room may import from those behind it, and from leaves. A file at
 * the root is a room of its own.
 */
const ORDER = [
  'main.ts',
  'daemon.ts',
  'http',
  'control',
  'switchboard',
  'reports',
  'records',
  'call',
  'media',
  'config',
];
/** They import nothing but files of their own. */
const LEAVES = [
  'ari',
  'async',
  'audio',
  'chan-websocket',
  'dns',
  'exit.ts',
  'log.ts',
  'pipecat',
  'q850',
  'recording',
  'rtp',
  'text',
  'units',
];
const ROOT_FILES_MAX = 4;
const COMMENT_MAX_CHARS = 100;
/**
 * Folders, and files at the root, whose comments have at most {@link COMMENT_MAX_CHARS} columns.
 */
const COMMENTED_FOLDERS: readonly string[] = [
  // One folder a line, so that two branches can add to it.
  'ari',
  'async',
  'audio',
  'call',
  'chan-websocket',
  'config',
  'control',
  'daemon.ts',
  'dns',
  'exit.ts',
  'http',
  'log.ts',
  'main.ts',
  'media',
  'pipecat',
  'q850',
  'recording',
  'records',
  'reports',
  'rtp',
  'switchboard',
  'text',
  'units',
];
/** Rooms whose files are pure, and the files in them that may hold sockets, timers or clocks. */
const PURE_ROOMS = [...LEAVES, 'config', 'http', 'records'];
const IO_FILES = new Set([
  'ari/catch-up.ts',
  'ari/client.ts',
  'ari/connection.ts',
  'ari/events.ts',
  'ari/heartbeat.ts',
  'ari/requests.ts',
  'async/replies.ts',
  'async/time-limit.ts',
  'audio/pacer.ts',
  'chan-websocket/socket-transport.ts',
  'config/certificates.ts',
  'config/environment.ts',
  'config/providers.ts',
  'dns/name-lookups.ts',
  'exit.ts',
  'http/api.ts',
  'http/event-stream.ts',
  'http/guard.ts',
  'http/problem.ts',
  'http/server.ts',
  'http/twilio-rest.ts',
  'log.ts',
  'pipecat/bot-connection.ts',
  'pipecat/stream.ts',
  'pipecat/write-now.ts',
  'recording/recorder.ts',
  'recording/retention.ts',
  'records/database.ts',
  'records/store.ts',
  'records/store-worker.ts',
  'rtp/datagrams.ts',
  'rtp/socket.ts',
  'rtp/sockets.ts',
  'rtp/rtp-transport.ts',
]);
/** Files of the other rooms that are pure. */
const PURE_FILES = new Set([
  'call/adopted.ts',
  'call/asterisk-ids.ts',
  'call/call-ids.ts',
  'call/end-reason.ts',
  'call/info.ts',
  'call/key-repeats.ts',
  'call/outcome.ts',
  'call/presentation.ts',
  'call/result.ts',
  'call/transfer-reasons.ts',
  'call/transfer-summary.ts',
  'call/transfer-target.ts',
  'control/orders.ts',
  'control/recent-orders.ts',
  'media/back-off.ts',
  'reports/retry-after.ts',
  'switchboard/asterisk-ports.ts',
  'switchboard/beliefs.ts',
  'switchboard/channel-place.ts',
  'switchboard/overload.ts',
  'switchboard/forwarded-leg.ts',
  'switchboard/reconciliation.ts',
  'switchboard/talks.ts',
]);
const IO_SIGNS =
  /from '(ws|undici|koffi|fastify|prom-client|pino|node:(dgram|net|http|fs|timers|sqlite|worker_threads).*)'|\b(setTimeout|setInterval|setImmediate|performance\.now|Date\.now|Math\.random|randomInt|randomUUID|console)\b|\bnew Date\(\)/;

const SELF = 'architecture.test.ts';
const bridgeRoot = new URL('../', import.meta.url).pathname;
const root = new URL('../src/', import.meta.url).pathname;
const botCheckRoot = new URL('../bot-check/', import.meta.url).pathname;

interface Import {
  readonly target: string;
  readonly isType: boolean;
}

interface Source {
  readonly path: string;
  readonly text: string;
  /** Files of ours that it imports, by path below src. */
  readonly imports: readonly Import[];
}

function sourceOf(path: string, text: string): Source {
  const found = text.matchAll(
    /^(?:import|export) (type )?[^;]*?from '(\.{1,2}\/[^']+)';|\bimport\('(\.{1,2}\/[^']+)'\)/gm,
  );
  const imports = [...found].map(([, type, target, dynamic]) => ({
    target: normalize(join(dirname(path), target ?? dynamic ?? '')),
    isType: type !== undefined,
  }));
  return { path, text, imports };
}

const read = (path: string, folder: string) => sourceOf(path, readFileSync(join(folder, path), 'utf8'));
const isTest = (path: string): boolean => path.endsWith('.test.ts');
const all = globSync('**/*.ts', { cwd: root }).map((path) => read(path, root));
const sources = all.filter(({ path }) => !isTest(path));
/** A program beside the daemon. */
const botCheck = globSync('*.ts', { cwd: botCheckRoot }).map((path) => read(path, botCheckRoot));

/** Its folder, or the file itself where it is at the root. */
const roomOf = (path: string): string => path.split('/')[0] as string;

/**
 * Each import, types too, that does not go down the spine, into a leaf or to the room's own files.
 */
function upward(files: readonly Source[]): string[] {
  return files.flatMap(({ path, imports }) => {
    const from = roomOf(path);
    const place = ORDER.indexOf(from);
    const isAllowed = (to: string) =>
      to === from || (place >= 0 && (ORDER.indexOf(to) > place || LEAVES.includes(to)));
    return imports
      .filter(({ target }) => !isAllowed(roomOf(target)))
      .map(({ target }) => `${path} -> ${target}`);
  });
}

/** Files that import themselves by way of others, types too. */
function inCircles(files: readonly Source[]): string[] {
  const graph = new Map(files.map(({ path, imports }) => [path, imports.map(({ target }) => target)]));
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    (graph.get(from) ?? []).some(
      (next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))),
    );
  return [...graph.keys()].filter((path) => reaches(path, path));
}

/** Rooms that have no place in the order. */
const homeless = (files: readonly Source[]): string[] => [
  ...new Set(files.map(({ path }) => roomOf(path)).filter((room) => ![...ORDER, ...LEAVES].includes(room))),
];

/** Object literals that are spread into another one: they pack lines, and hide the shape. */
const packed = (files: readonly Source[]): string[] =>
  files.filter(({ text }) => /\.{3}\{/.test(text)).map(({ path }) => path);

/** What a pure file holds that it must not. */
function impure(files: readonly Source[]): string[] {
  return files.flatMap(({ path, text, imports }) => {
    const isPure = PURE_ROOMS.includes(roomOf(path)) || PURE_FILES.has(path);
    if (!isPure || IO_FILES.has(path)) return [];
    const sign = IO_SIGNS.exec(text.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, ''))?.[0];
    const ioImports = imports.filter(({ target, isType }) => IO_FILES.has(target) && !isType);
    return [...(sign === undefined ? [] : [sign]), ...ioImports.map(({ target }) => target)].map(
      (what) => `${path}: ${what}`,
    );
  });
}

/** Lines of comments that are longer than {@link COMMENT_MAX_CHARS}, as `path:line`. */
const longComments = (files: readonly Source[]): string[] =>
  files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const isComment = /^\s*(\/\/|\/?\*)|[;,{(})\]] \/\/ /.test(line);
      return isComment && line.length > COMMENT_MAX_CHARS ? [`${path}:${index + 1}`] : [];
    }),
  );

describe('the house', () => {
  test('each room has its place in the order', () => {
    assert.deepEqual(homeless(sources), []);
  });

  test('at the root is only what belongs to no room', () => {
    const loose = all.map(({ path }) => path).filter((path) => !path.includes('/'));
    assert.ok(loose.length <= ROOT_FILES_MAX, loose.join(' '));
  });

  test('imports go down the spine, those of types too, and leaves import nothing', (t) => {
    const arrows = new Set(
      sources.flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => roomOf(target) !== roomOf(path))
          .map(({ target }) => `${roomOf(path)} -> ${roomOf(target)}`),
      ),
    );
    t.diagnostic(`${new Set(sources.map(({ path }) => roomOf(path))).size} rooms, ${arrows.size} arrows`);
    assert.deepEqual(upward(sources), []);
  });

  test('no two files import each other in a circle, types too', () => {
    assert.deepEqual(inCircles(sources), []);
  });

  test('pure files hold no sockets, timers, clocks, randomness or logs, and import no file that does', () => {
    assert.deepEqual(impure(sources), []);
  });

  test('no object literal is spread into another one', () => {
    const tests = globSync('{test,fuzz,bench,wire}/**/*.ts', { cwd: bridgeRoot });
    const others = tests.map((path) => read(path, bridgeRoot)).filter(({ path }) => !path.endsWith(SELF));
    assert.deepEqual(packed([...all, ...botCheck, ...others]), []);
  });

  test('the lists of files name files that there are', () => {
    const paths = new Set(sources.map(({ path }) => path));
    assert.deepEqual(
      [...IO_FILES, ...PURE_FILES].filter((path) => !paths.has(path)),
      [],
    );
  });

  test('bot-check is made of what the daemon knows of bots and audio, and the daemon knows nothing of it', () => {
    const ours = /^\.\.\/src\/(audio\/|pipecat\/|config\/bot-url\.ts|media\/bad-messages\.ts)/;
    const programs = botCheck.filter(({ path }) => !isTest(path));
    const outside = (files: readonly Source[]) =>
      files.flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => target.startsWith('..') && !ours.test(target))
          .map(({ target }) => `${path}: ${target}`),
      );
    assert.deepEqual(outside(programs), []);
    assert.deepEqual(outside(sources), []);
  });

  test('only main.ts reads the environment', () => {
    const readers = sources.filter(({ text }) => /process\.env/.test(text)).map(({ path }) => path);
    assert.deepEqual(readers, ['main.ts']);
  });

  test(`no file is longer than ${LINES_MAX} lines`, () => {
    const found = [...all, ...botCheck].map(({ path, text }) => ({
      path,
      lines: text.split('\n').length - 1,
    }));
    assert.deepEqual(
      found.filter(({ lines }) => lines > LINES_MAX),
      [],
    );
  });
});

describe('the words', () => {
  test('no comment line has more than 100 columns', () => {
    const files = sources.filter(({ path }) => COMMENTED_FOLDERS.includes(roomOf(path)));
    assert.deepEqual(longComments(files), []);
  });
});

describe('a breach of the house is found', () => {
  const house = (...files: [path: string, text: string][]) =>
    files.map(([path, text]) => sourceOf(path, text));

  test('an import upward', () => {
    const files = house(['call/call.ts', "import { reports } from '../reports/reports.ts';"]);
    assert.deepEqual(upward(files), ['call/call.ts -> reports/reports.ts']);
  });

  test('an import of a type upward, also over several lines', () => {
    const files = house([
      'config/environment.ts',
      "import type {\n  Call,\n  Other,\n} from '../call/call.ts';",
    ]);
    assert.deepEqual(upward(files), ['config/environment.ts -> call/call.ts']);
  });

  test('an import upward while it runs', () => {
    const files = house(['media/pool.ts', "  const { Call } = await import('../call/call.ts');"]);
    assert.deepEqual(upward(files), ['media/pool.ts -> call/call.ts']);
  });

  test('a re-export of what is above', () => {
    const files = house(['records/build.ts', "export { reports } from '../reports/reports.ts';"]);
    assert.deepEqual(upward(files), ['records/build.ts -> reports/reports.ts']);
  });

  test('a leaf that imports another leaf, or a file at the root', () => {
    const files = house(
      ['rtp/receiver.ts', "import type { Fade } from '../audio/fade.ts';"],
      ['pipecat/bot-connection.ts', "import type { Logger } from '../log.ts';"],
    );
    assert.deepEqual(upward(files), [
      'rtp/receiver.ts -> audio/fade.ts',
      'pipecat/bot-connection.ts -> log.ts',
    ]);
  });

  test('a circle of types', () => {
    const files = house(
      ['call/a.ts', "import type { B } from './b.ts';"],
      ['call/b.ts', "import type { C } from './c.ts';"],
      ['call/c.ts', "import type { A } from './a.ts';"],
      ['call/d.ts', "import type { A } from './a.ts';"],
    );
    assert.deepEqual(inCircles(files), ['call/a.ts', 'call/b.ts', 'call/c.ts']);
  });

  test('an object literal that is spread into another one', () => {
    const files = house(
      ['call/a.ts', 'const a = {\n  ...{ b, c },\n  d,\n};'],
      ['call/b.ts', 'f({ ...a });'],
    );
    assert.deepEqual(packed(files), ['call/a.ts']);
  });

  test('a room without a place', () => {
    assert.deepEqual(homeless(house(['utils/all.ts', ''])), ['utils']);
  });

  test('a clock in a pure file, and a pure file that imports one with sockets', () => {
    const files = house(
      ['audio/tone.ts', 'const now = Date.now();'],
      ['call/outcome.ts', "import { AriClient } from '../ari/client.ts';"],
    );
    assert.deepEqual(impure(files), ['audio/tone.ts: Date.now', 'call/outcome.ts: ari/client.ts']);
  });

  test('a comment line of more than 100 columns', () => {
    const long = 'x'.repeat(COMMENT_MAX_CHARS);
    const files = house(
      ['call/a.ts', `/** ${long} */\nconst a = 1;\n/**\n * ${long}\n */`],
      ['call/b.ts', `  // ${long}\nconst b = 1; // ${long}`],
      ['call/c.ts', `const c = 'https://${long}';\n// short`],
    );
    assert.deepEqual(longComments(files), ['call/a.ts:1', 'call/a.ts:4', 'call/b.ts:1', 'call/b.ts:2']);
  });
});
