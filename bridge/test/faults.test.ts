import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { END_REASONS } from '../src/call/end-reason.ts';
import { OUTCOMES } from '../src/call/outcome.ts';
import { TRANSFER_FAILURES } from '../src/call/transfer-reasons.ts';
import { rangeWarnings } from '../src/config/port-ranges.ts';
import { ERROR_CODES as TWILIO_CODES } from '../src/http/twilio-rest.ts';
import { MEDIA_ERROR_CODES } from '../src/media/media-error.ts';
import { CLOSE_CODE } from '../src/pipecat/close-codes.ts';
import { ERROR_CODES } from '../src/pipecat/dialect.ts';
import { AsteriskPorts } from '../src/switchboard/asterisk-ports.ts';
import { type Called, callsIn, sourceOf, valuesOf } from './fault-texts.ts';
import { readSources, type SourceFile, type SyntaxNode } from './source-file.ts';

const CELL_MAX_CHARS = 120;
const LINE_MAX_CHARS = 100;
/**
 * Statuses that Fastify sends by itself (bad JSON, a long body, another content type), and our own
 * default.
 */
const FRAMEWORK_STATUSES = ['400', '413', '415', '500'];
/** Functions and errors of the room `ari` whose text becomes a problem of /readyz. */
const PROBLEM_TELLERS = new Set(['Error', 'close', 'closed', 'down', 'lost', 'onDown']);
/** Our own close of the connection, when it is not opened again, is shown nowhere. */
const NOT_SHOWN = new Set(['', 'stopped']);
/** They pass on the text of another call or error, which is found by itself. */
const PASSED_ON = /: (.*\b(why|problem|message)|ended\(\))$/;

const src = new URL('../src/', import.meta.url).pathname;
const catalogue = readFileSync(new URL('../../docs/FAULTS.md', import.meta.url), 'utf8');
const sources = readSources(src).filter(({ path }) => !path.endsWith('.test.ts'));
const calls = callsIn(sources);
const at = ({ path }: SourceFile, node: SyntaxNode) => `${path}:${node.loc.start.line}`;

/** The rows of the table under a heading, as cells. */
function table(heading: string): string[][] {
  const section = catalogue.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  assert.ok(section !== undefined, `no section ${heading}`);
  const lines = section.split('\n').filter((line) => line.startsWith('| '));
  return lines.slice(1).map((line) => line.slice(2, -2).split(' | '));
}

/** The code of each row of the table under a heading, without its backticks. Each has one row. */
function codes(heading: string): string[] {
  const found = table(heading).map(
    ([cell = '']) => /^`([^`]+)`$/.exec(cell)?.[1] ?? assert.fail(`a row of ${heading} has no code`),
  );
  assert.deepEqual(found, [...new Set(found)], `a code of ${heading} has two rows`);
  return found;
}

const sorted = (values: Iterable<string | number>) => [...new Set([...values].map(String))].sort();

/**
 * The texts that some calls are given, and each other expression as `path:line: expression`, but
 * those that are known.
 */
function textsGiven(found: readonly Called[], place: (call: Called) => SyntaxNode | undefined) {
  const values = found.map((call) => ({ call, ...valuesOf(call.file, place(call)) }));
  return {
    texts: values.flatMap(({ texts }) => texts),
    others: values.flatMap(({ call, opaque }) =>
      opaque.map((what) => `${at(call.file, call.node)}: ${what}`),
    ),
  };
}

/** Each text has one row that stands for it, and each row a text; `…` in a row is any text. */
function assertMatched(texts: readonly string[], rows: readonly string[]): void {
  const patterns = rows.map((row) => {
    const parts = row.split('…').map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`);
  });
  for (const text of texts)
    assert.equal(patterns.filter((pattern) => pattern.test(text)).length, 1, `one row for: ${text}`);
  const idle = rows.filter((_row, index) => !texts.some((text) => patterns[index]?.test(text)));
  assert.deepEqual(idle, []);
}

describe('docs/FAULTS.md names each fault and no other', () => {
  test('error events to a bot', () => {
    assert.deepEqual(sorted(codes('Error events to a bot')), sorted(ERROR_CODES));
  });

  test('close codes', () => {
    assert.deepEqual(sorted(codes("Close codes of the bot's socket")), sorted(Object.values(CLOSE_CODE)));
  });

  test('end reasons', () => {
    assert.deepEqual(sorted(codes('End reasons')), sorted(END_REASONS));
  });

  test('outcomes', () => {
    assert.deepEqual(sorted(codes('Outcomes')), sorted(OUTCOMES));
  });

  test('reasons of transfers', () => {
    assert.deepEqual(sorted(codes('Transfers that fail')), sorted(TRANSFER_FAILURES));
  });

  test('statuses of the API, which only two functions send', () => {
    const problems = calls.filter(
      ({ name, file }) =>
        (name === 'sendProblem' && file.path !== 'http/problem.ts') || name === 'RequestRefused',
    );
    const { texts, others } = textsGiven(
      problems,
      ({ name, given }) => given[name === 'sendProblem' ? 1 : 0],
    );
    assert.deepEqual(others, []);
    const own = textsGiven(
      calls.filter(({ name, file }) => name === 'sendProblem' && file.path === 'http/problem.ts'),
      ({ given }) => given[1],
    );
    assert.deepEqual(
      own.others.map((place) => place.replace(/^.*: /, '')),
      ['error.status', 'status', 'status'],
    );
    assert.deepEqual(sorted(codes('API errors')), sorted([...texts, ...own.texts, ...FRAMEWORK_STATUSES]));
  });

  test('no status of an error is sent past them', () => {
    const senders = [
      'http/problem.ts',
      'http/twilio-rest.ts',
      'http/server.ts',
      'http/pass-on.ts',
      'http/forwarding.ts',
    ];
    const direct = calls.filter(
      ({ name, given, file }) =>
        ((name === 'code' || name === 'status') && given.length === 1) ||
        (/^writeHead$/.test(name) && !senders.includes(file.path)),
    );
    const { texts, others } = textsGiven(
      direct.filter(({ file }) => !senders.includes(file.path)),
      ({ given }) => given[0],
    );
    assert.deepEqual(others, []);
    assert.deepEqual(
      texts.filter((status) => Number(status) >= 400),
      [],
    );
    // Readiness: 200 or 503, with the problems below.
    const readiness = direct.filter(({ file }) => file.path === 'http/server.ts');
    assert.deepEqual(
      textsGiven(readiness, ({ given }) => given[0]),
      { texts: ['200', '503'], others: [] },
    );
  });

  test("codes of Twilio's REST API", () => {
    assert.deepEqual(sorted(codes("Twilio's REST API")), sorted(Object.values(TWILIO_CODES)));
  });

  test('problems of /readyz', () => {
    const pushed = textsGiven(
      calls.filter(
        ({ name, object, file }) => name === 'push' && object === 'problems' && !/^config\//.test(file.path),
      ),
      ({ given }) => given[0],
    );
    const isAri = ({ file }: Called) => /^ari\//.test(file.path) && !/(client|requests)\.ts$/.test(file.path);
    const told = textsGiven(
      calls.filter((call) => isAri(call) && PROBLEM_TELLERS.has(call.name) && call.given.length > 0),
      ({ given }) => given[0],
    );
    const again = textsGiven(
      calls.filter(({ name, object }) => name === 'reconnect' && object !== ''),
      ({ given }) => given[0],
    );
    const assigned = sources.flatMap((file) =>
      file.nodes.flatMap(({ node }) => {
        if (node.type === 'AssignmentExpression' && /#problem$/.test(sourceOf(file, node.left as SyntaxNode)))
          return /^ari\//.test(file.path) ? valuesOf(file, node.right as SyntaxNode).texts : [];
        const isWhy = node.type === 'ObjectProperty' && (node.key as SyntaxNode).name === 'why';
        return isWhy && file.path === 'switchboard/asterisk-link.ts'
          ? valuesOf(file, node.value as SyntaxNode).texts
          : [];
      }),
    );
    assert.deepEqual(
      pushed.others.map((place) => place.replace(/:\d+:/, ':')),
      ['control/readiness.ts: ariProblem'],
    );
    assert.deepEqual(
      [...told.others, ...again.others].filter((place) => !PASSED_ON.test(place)),
      [],
    );
    const texts = [...pushed.texts, ...told.texts, ...again.texts, ...assigned].filter(
      (text) => !NOT_SHOWN.has(text),
    );
    assertMatched(sorted(texts), codes('Not ready'));
  });

  test('warnings of /readyz', () => {
    const range = { min: 10_000, max: 10_001 };
    const ports = new AsteriskPorts(range);
    ports.count(['PJSIP/a-1']);
    const pushes = calls.filter(
      ({ name, object, file }) =>
        name === 'push' && object === 'warnings' && file.path === 'control/readiness.ts',
    );
    const [spread, own] = [true, false].map((isSpread) =>
      pushes.filter(({ given }) => (given[0]?.type === 'SpreadElement') === isSpread),
    );
    const { texts, others } = textsGiven(own ?? [], ({ given }) => given[0]);
    assert.deepEqual(others, []);
    assert.deepEqual(
      spread?.map(({ file, given }) => sourceOf(file, given[0] as SyntaxNode).replace(/\(.*/s, '')),
      ['...rangeWarnings', '...parts.asteriskPorts.warnings'],
    );
    const all = [
      ...texts,
      ...rangeWarnings({ maxCalls: 9, transport: 'rtp', asterisk: range, bridge: range }),
      ...ports.warnings(0, 1),
    ];
    assert.equal(all.length, 9);
    assertMatched(all, codes('Warnings'));
  });

  test('errors of the media', () => {
    assert.deepEqual(sorted(codes('Errors of the media')), sorted(MEDIA_ERROR_CODES));
  });

  test('lines of the log of level error and fatal', () => {
    const lines = calls.filter(
      ({ name, object }) => (name === 'error' || name === 'fatal') && object !== 'console',
    );
    const { texts, others } = textsGiven(lines, ({ given }) => given.at(-1));
    const remarks = sources
      .filter(({ path }) => path.startsWith('records/'))
      .flatMap((file) =>
        file.nodes
          .filter(({ node }) => node.type === 'ObjectProperty' && (node.key as SyntaxNode).name === 'text')
          .flatMap(({ node }) => valuesOf(file, node.value as SyntaxNode).texts),
      );
    assert.deepEqual(
      others.map((place) => place.replace(/:\d+:/, ':')),
      ['records/store.ts: message.text'],
    );
    assertMatched(sorted([...texts, ...remarks]), codes('Log'));
  });

  test('lines of the log of level warn', () => {
    const isLevelChosen = ({ object, node }: Called) =>
      object === 'log' && (node.callee as SyntaxNode).computed === true;
    const lines = calls.filter((call) => call.name === 'warn' || isLevelChosen(call));
    const { texts, others } = textsGiven(lines, ({ given }) => given.at(-1));
    // The daemon logs the warnings of /readyz too; a call's parts and main pass their texts on.
    assert.deepEqual(others.map((place) => place.replace(/:\d+:/, ':')).sort(), [
      'call/call-log.ts: message',
      'call/parts.ts: message',
      'call/parts.ts: message',
      'daemon.ts: warning',
      'main.ts: text',
      'main.ts: text',
      'switchboard/comparison.ts: full',
    ]);
    assertMatched(sorted(texts), codes('Warnings of the log'));
  });

  test('exit codes', () => {
    const exits = calls.filter(({ name, file }) => /^(exit|exitNow)$/.test(name) && file.path !== 'exit.ts');
    const { texts, others } = textsGiven(exits, ({ given }) => given[0]);
    assert.deepEqual(others, []);
    assert.deepEqual(sorted(codes('Exit codes')), sorted(texts));
  });

  test('with a text in each cell', () => {
    const headings = [...catalogue.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading as string);
    const empty = headings.flatMap((heading) =>
      table(heading).filter((cells) => cells.some((cell) => !/\w/.test(cell)) || cells.length < 2),
    );
    assert.deepEqual(empty, []);
  });

  test('in cells and lines that are short', () => {
    const lines = catalogue.split('\n');
    const cells = lines.filter((line) => line.startsWith('|')).flatMap((line) => line.split(' | '));
    const prose = lines.filter((line) => !line.startsWith('|'));
    assert.deepEqual(
      [
        ...cells.filter((cell) => cell.length > CELL_MAX_CHARS),
        ...prose.filter((line) => line.length > LINE_MAX_CHARS),
      ],
      [],
    );
  });
});
