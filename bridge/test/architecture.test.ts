import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  arrows,
  environmentReaders,
  type House,
  hiddenImports,
  homeless,
  impure,
  inCircles,
  longComments,
  packed,
  roomOf,
  tooLong,
  undocumented,
  upward,
} from './house-rules.ts';
import { pathsBelow, readSources, type SourceFile } from './source-file.ts';

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
/** They import nothing but files of their own, and `units`. */
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
/** Rooms whose files are pure, and the files in them that may hold sockets, timers or clocks. */
const PURE_ROOMS = [...LEAVES, 'config', 'http', 'records'];
const IO_FILES = new Set([
  'ari/event-fence.ts',
  'ari/client.ts',
  'ari/connection.ts',
  'ari/handover.ts',
  'ari/holding.ts',
  'ari/link.ts',
  'ari/events.ts',
  'ari/heartbeat.ts',
  'ari/requests.ts',
  'ari/standstill.ts',
  'ari/taken-app.ts',
  'async/replies.ts',
  'async/time-limit.ts',
  'audio/pacer.ts',
  'chan-websocket/socket-transport.ts',
  'config/bot-ladder.ts',
  'config/certificates.ts',
  'config/comfort-wav.ts',
  'config/environment.ts',
  'config/generation.ts',
  'config/live-config.ts',
  'config/providers.ts',
  'config/settings-file.ts',
  'dns/name-lookups.ts',
  'exit.ts',
  'http/api.ts',
  'http/event-stream.ts',
  'http/guard.ts',
  'http/feed-reader.ts',
  'http/forwarding.ts',
  'http/other-processes.ts',
  'http/pass-on.ts',
  'http/port-proof.ts',
  'http/problem.ts',
  'http/process-feed.ts',
  'http/process-routes.ts',
  'http/public-port.ts',
  'http/server.ts',
  'http/shared-port.ts',
  'http/twilio-rest.ts',
  'log.ts',
  'pipecat/bot-connection.ts',
  'pipecat/frame-sender.ts',
  'pipecat/stream.ts',
  'pipecat/write-now.ts',
  'recording/recorder.ts',
  'recording/retention.ts',
  'records/database.ts',
  'records/process-lock.ts',
  'records/store.ts',
  'records/make-store.ts',
  'records/store-thread.ts',
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
  'call/recovery-budget.ts',
  'call/result.ts',
  'call/transfer-reasons.ts',
  'call/transfer-summary.ts',
  'call/transfer-target.ts',
  'control/orders.ts',
  'control/recent-orders.ts',
  'media/back-off.ts',
  'media/breaker.ts',
  'reports/retry-after.ts',
  'switchboard/asterisk-ports.ts',
  'switchboard/beliefs.ts',
  'switchboard/channel-place.ts',
  'switchboard/overload.ts',
  'switchboard/forwarded-leg.ts',
  'switchboard/reconciliation.ts',
  'switchboard/talks.ts',
]);
/** What a pure file may import that is not ours. Of these modules of Node, only what is pure. */
const PURE_MODULES = new Map([
  ['fastest-levenshtein', undefined],
  ['node:crypto', ['createHash', 'createHmac', 'timingSafeEqual']],
  ['node:net', ['BlockList', 'isIP', 'isIPv4', 'isIPv6']],
  ['node:util', undefined],
  ['zod', undefined],
]);
/** The only file outside src that the daemon imports. */
const VERSION_IMPORT = 'daemon.ts -> ../package.json';
/** Helpers of tests that stand outside src, since other tests use them too. */
const TEST_HELPERS = /^\.\.\/(test\/[^/]+|bot-check\/speech-like)\.ts$/;
/** Imports of tests beside their files that go to another room, against the order. */
const TEST_ARROWS: readonly string[] = [
  // Conceals the gaps of a real receiver.
  'audio/concealment.test.ts -> rtp/packet.ts',
  'audio/concealment.test.ts -> rtp/receiver.ts',
  // Each outcome has a callback status.
  'call/outcome.test.ts -> reports/callbacks.ts',
];
/** Folders of TypeScript beside src, relative to the repository. */
const OTHER_FOLDERS = [
  'bridge/bench',
  'bridge/bot-check',
  'bridge/fuzz',
  'bridge/test',
  'bridge/wire',
  'e2e',
  'bench',
];
/** Reads its own folder, file by file. */
const HIDDEN_IMPORT = /^bridge\/fuzz\/targets\.ts:/;

const repository = new URL('../../', import.meta.url).pathname;
const root = join(repository, 'bridge/src');
const HOUSE: House = {
  order: ORDER,
  leaves: LEAVES,
  base: 'units',
  pureRooms: PURE_ROOMS,
  ioFiles: IO_FILES,
  pureFiles: PURE_FILES,
  pureModules: PURE_MODULES,
};

const isTest = ({ path }: SourceFile): boolean => path.endsWith('.test.ts');
const all = readSources(root);
const sources = all.filter((file) => !isTest(file));
/** A program beside the daemon. */
const botCheck = readSources(join(repository, 'bridge/bot-check'));
/** All TypeScript of the repository; paths are relative to it, and imports are not to be used. */
const everything = [
  ...all.map((file) => ({ ...file, path: `bridge/src/${file.path}` })),
  ...OTHER_FOLDERS.flatMap((folder) =>
    readSources(join(repository, folder)).map((file) => ({ ...file, path: `${folder}/${file.path}` })),
  ),
];

describe('the house', () => {
  test('each room has its place in the order, and the order names only rooms that there are', () => {
    const paths = pathsBelow(root);
    assert.deepEqual(homeless(paths, HOUSE), []);
    const rooms = new Set(paths.map(roomOf));
    assert.deepEqual(
      [...ORDER, ...LEAVES].filter((room) => !rooms.has(room)),
      [],
    );
  });

  test('every file of src is TypeScript that ends in .ts', () => {
    assert.deepEqual(
      pathsBelow(root).filter((path) => !path.endsWith('.ts') || path.endsWith('.d.ts')),
      [],
    );
  });

  test('at the root is only what belongs to no room', () => {
    const loose = pathsBelow(root).filter((path) => !path.includes('/'));
    assert.ok(loose.length <= ROOT_FILES_MAX, loose.join(' '));
  });

  test('imports go down the spine, those of types too, and leaves import nothing', (t) => {
    const rooms = new Set(sources.map(({ path }) => roomOf(path)));
    t.diagnostic(`${rooms.size} rooms, ${arrows(sources).size} arrows`);
    assert.deepEqual(upward(sources, HOUSE), [VERSION_IMPORT]);
  });

  test('tests beside their files import what their room may, helpers, and what is listed', () => {
    const isHelper = (arrow: string) => TEST_HELPERS.test(arrow.split(' -> ')[1] as string);
    assert.deepEqual(
      upward(all.filter(isTest), HOUSE).filter((arrow) => !isHelper(arrow)),
      TEST_ARROWS,
    );
  });

  test('each import shows what it loads', () => {
    assert.deepEqual(
      hiddenImports(everything).filter((place) => !HIDDEN_IMPORT.test(place)),
      [],
    );
    const settings = readFileSync(join(repository, 'bridge/package.json'), 'utf8');
    const { imports, exports } = JSON.parse(settings) as Record<string, unknown>;
    assert.deepEqual({ imports, exports }, { imports: undefined, exports: undefined });
  });

  test('no two files import each other in a circle, types and threads too', () => {
    assert.deepEqual(inCircles(sources), []);
  });

  test('pure files hold no sockets, timers, clocks, randomness or logs, and import no file that does', () => {
    assert.deepEqual(impure(sources, HOUSE), []);
  });

  test('no literal is made only to be spread', () => {
    assert.deepEqual(packed(everything), []);
  });

  test('the lists of files name files that there are', () => {
    const paths = new Set(sources.map(({ path }) => path));
    assert.deepEqual(
      [...IO_FILES, ...PURE_FILES].filter((path) => !paths.has(path)),
      [],
    );
    assert.deepEqual(
      OTHER_FOLDERS.filter((folder) => !existsSync(join(repository, folder))),
      [],
    );
  });

  test('bot-check is made of what the daemon knows of bots and audio', () => {
    const ours = /^\.\.\/src\/(audio\/|pipecat\/|units\/|config\/bot-url\.ts|media\/bad-messages\.ts)/;
    const programs = botCheck.filter((file) => !isTest(file));
    assert.deepEqual(
      programs.flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => target.startsWith('..') && !ours.test(target))
          .map(({ target }) => `${path}: ${target}`),
      ),
      [],
    );
  });

  test('only main.ts reads the environment', () => {
    assert.deepEqual(environmentReaders(sources), ['main.ts']);
  });

  test(`no file has more than ${LINES_MAX} lines, tests too`, () => {
    assert.deepEqual(tooLong(everything, LINES_MAX), []);
  });
});

describe('the words', () => {
  test('each export has a doc comment', () => {
    assert.deepEqual(undocumented(sources), []);
  });

  test('no comment line has more than 100 columns', () => {
    assert.deepEqual(longComments(everything), []);
  });
});

describe('the picture of the spine in ARCHITECTURE.md', () => {
  const page = readFileSync(join(repository, 'bridge/ARCHITECTURE.md'), 'utf8');
  const picture = /^## The spine\n+```\n(.*?)^```$/ms.exec(page)?.[1] ?? '';
  const [spine = '', leaves = ''] = picture.split('leaves:');

  test('shows the rooms in their order', () => {
    assert.deepEqual(spine.trim().split(/\s*→\s*/), ORDER);
  });

  test('shows all leaves', () => {
    assert.deepEqual(leaves.trim().split(/\s+/).sort(), [...LEAVES].sort());
  });
});
