import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

const LINES_MAX = 400;
/** Files of leaf folders that may hold sockets, timers or clocks. All others there are pure. */
const IO_FILES = new Set([
  'ari/catch-up.ts',
  'ari/client.ts',
  'ari/connection.ts',
  'ari/events.ts',
  'ari/heartbeat.ts',
  'audio/pacer.ts',
  'chan-websocket/transport.ts',
  'http/api.ts',
  'http/event-stream.ts',
  'http/guard.ts',
  'reports/metrics.ts',
  'http/problem.ts',
  'http/server.ts',
  'http/twilio-rest.ts',
  'pipecat/client.ts',
  'pipecat/stream.ts',
  'pipecat/write-now.ts',
  'recording/recorder.ts',
  'recording/retention.ts',
  'records/database.ts',
  'records/store.ts',
  'records/worker.ts',
  'rtp/datagrams.ts',
  'rtp/socket.ts',
  'rtp/sockets.ts',
  'rtp/transport.ts',
]);
const IO_SIGNS =
  /from '(ws|undici|koffi|fastify|prom-client|pino|node:(dgram|net|http|fs|timers|sqlite|worker_threads).*)'|\b(setTimeout|setInterval|setImmediate|performance\.now|Date\.now|Math\.random|randomInt|randomUUID|console)\b|\bnew Date\(\)/;

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

function readSource(path: string, folder = root): Source {
  const text = readFileSync(join(folder, path), 'utf8');
  const found = text.matchAll(/^(?:import|export) (type )?[^;]*?from '(\.{1,2}\/[^']+)';/gm);
  const imports = [...found].map(([, type, target = '']) => ({
    target: normalize(join(dirname(path), target)),
    isType: type !== undefined,
  }));
  return { path, text, imports };
}

const all = globSync('**/*.ts', { cwd: root }).map((path) => readSource(path));
/** A program beside the daemon. */
const botCheck = globSync('*.ts', { cwd: botCheckRoot }).map((path) => readSource(path, botCheckRoot));
const sources = all.filter(({ path }) => !path.endsWith('.test.ts'));
/** These are no leaves: they join leaves, or know what a call is. */
const JOINING = ['', 'call', 'control', 'media', 'records', 'switchboard'];
const isInLeaf = (path: string): boolean => !JOINING.includes(folderOf(path));
/** Files of such folders that are pure all the same. */
const PURE_FILES = new Set([
  'call/asterisk-ids.ts',
  'call/call-ids.ts',
  'text/outside-text.ts',
  'control/recent-orders.ts',
  'switchboard/channel-place.ts',
  'switchboard/reconciliation.ts',
  'switchboard/talks.ts',
]);
/** What http shows, and which ids it may be asked for. */
const KNOWN_TO_HTTP = new Set(['records/record.ts', 'call/call-ids.ts']);
const folderOf = (path: string): string => (path.includes('/') ? dirname(path) : '');

function violations(check: (source: Source) => readonly string[]): string[] {
  return sources.flatMap((source) => check(source).map((what) => `${source.path}: ${what}`));
}

test('leaf folders import nothing of each other or of what is above them; http may know the types, and the record, of what it shows', () => {
  const found = violations(({ path, imports }) =>
    isInLeaf(path)
      ? imports
          .filter(({ target }) => folderOf(target) !== folderOf(path))
          .filter(
            ({ target, isType }) => !(folderOf(path) === 'http' && (isType || KNOWN_TO_HTTP.has(target))),
          )
          .map(({ target }) => target)
      : [],
  );
  assert.deepEqual(found, []);
});

test('arrows point one way: main, daemon, switchboard, records, call, media, leaf folders', () => {
  const order = [
    'main.ts',
    'daemon.ts',
    'switchboard/switchboard.ts',
    'reports/reports.ts',
    'call/call.ts',
    'call/dial.ts',
    'media/',
  ];
  const rank = (path: string): number => order.findIndex((place) => path.startsWith(place));
  const found = violations(({ path, imports }) =>
    imports
      .filter(({ target, isType }) => rank(target) >= 0 && rank(path) >= 0 && !isType)
      .filter(({ target }) => rank(target) < rank(path))
      .map(({ target }) => target),
  );
  assert.deepEqual(found, []);
});

test('no two files import each other in a circle, types aside', () => {
  const graph = new Map(
    sources.map(({ path, imports }) => [
      path,
      imports.filter(({ isType }) => !isType).map(({ target }) => target),
    ]),
  );
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    (graph.get(from) ?? []).some(
      (next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))),
    );
  assert.deepEqual(
    [...graph.keys()].filter((path) => reaches(path, path)),
    [],
  );
});

test('pure files hold no sockets, timers, clocks, randomness or logs, and import no file that does', () => {
  const found = violations(({ path, text, imports }) => {
    const isPure = isInLeaf(path) || folderOf(path) === 'records' || PURE_FILES.has(path);
    if (!isPure || IO_FILES.has(path)) return [];
    const sign = IO_SIGNS.exec(text.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, ''))?.[0];
    const ioImports = imports.filter(({ target, isType }) => IO_FILES.has(target) && !isType);
    return [...(sign === undefined ? [] : [sign]), ...ioImports.map(({ target }) => target)];
  });
  assert.deepEqual(found, []);
});

test('bot-check is made of what the daemon knows of bots and audio, and the daemon knows nothing of it', () => {
  const ours = /^\.\.\/src\/(audio\/|pipecat\/|bot-url\.ts|media\/refusals\.ts)/;
  const programs = botCheck.filter(({ path }) => !path.endsWith('.test.ts'));
  const found = programs.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => target.startsWith('..') && !ours.test(target))
      .map(({ target }) => `${path}: ${target}`),
  );
  assert.deepEqual(found, []);
  assert.deepEqual(
    violations(({ imports }) =>
      imports.filter(({ target }) => target.startsWith('..')).map(({ target }) => target),
    ),
    [],
  );
});

test('only main.ts reads the environment', () => {
  assert.deepEqual(
    violations(({ path, text }) => (/process\.env/.test(text) && path !== 'main.ts' ? ['process.env'] : [])),
    [],
  );
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const found = [...all, ...botCheck].map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }));
  assert.deepEqual(
    found.filter(({ lines }) => lines > LINES_MAX),
    [],
  );
});
