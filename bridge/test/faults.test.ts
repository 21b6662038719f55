import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { END_REASONS } from '../src/call/end-reason.ts';
import { OUTCOMES } from '../src/call/outcome.ts';
import { TRANSFER_FAILURES } from '../src/call/transfer-reasons.ts';
import { rangeWarnings } from '../src/config/port-ranges.ts';
import { ERROR_CODES as TWILIO_CODES } from '../src/http/twilio-rest.ts';
import { CLOSE_CODE } from '../src/pipecat/close-codes.ts';
import { ERROR_CODES } from '../src/pipecat/dialect.ts';
import { AsteriskPorts } from '../src/switchboard/asterisk-ports.ts';

const CELL_MAX_CHARS = 120;
const LINE_MAX_CHARS = 100;
/**
 * Statuses that Fastify sends by itself (bad JSON, a long body, another content type), and our own
 * default.
 */
const FRAMEWORK_STATUSES = ['400', '413', '415', '500'];

const src = new URL('../src/', import.meta.url);
const catalogue = readFileSync(new URL('../../docs/FAULTS.md', import.meta.url), 'utf8');
const source = (path: string) => readFileSync(new URL(path, src), 'utf8');

/** The code of each row of the table under a heading, without its backticks. */
function codes(heading: string): string[] {
  const section = catalogue.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  assert.ok(section !== undefined, `no section ${heading}`);
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  const found = rows.slice(1).map((row) => /^\| `([^`]+)` \|/.exec(row)?.[1]);
  return found.map((code) => code ?? assert.fail(`a row of ${heading} has no code`));
}

const sorted = (values: Iterable<string | number>) => [...new Set([...values].map(String))].sort();

/** All first groups of a pattern in files of src. */
function literals(pattern: RegExp, paths: readonly string[]): string[] {
  return paths.flatMap((path) => [...source(path).matchAll(pattern)].map(([, text = '']) => text));
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

  test('statuses of the API', () => {
    const paths = globSync('{http,control}/*.ts', { cwd: src }).filter((path) => !path.endsWith('.test.ts'));
    const given = literals(/(?:sendProblem\(\s*\w+,|new RequestRefused\()\s*(\d{3})\b/g, paths);
    assert.deepEqual(sorted(codes('API errors')), sorted([...given, ...FRAMEWORK_STATUSES]));
  });

  test("codes of Twilio's REST API", () => {
    assert.deepEqual(sorted(codes("Twilio's REST API")), sorted(Object.values(TWILIO_CODES)));
  });

  test('problems of /readyz', () => {
    const pattern =
      /(?:problems\.push|why:|#down|#lost|reject\(new Error|return new Error)[ (]*['`]([^'`]+)['`]/g;
    const paths = ['daemon.ts', 'ari/connection.ts', 'ari/heartbeat.ts', 'ari/catch-up.ts'];
    const refused = literals(/['`]((?:ARI|the events socket) [^'`]+)['`]/g, ['ari/events.ts']);
    assertMatched(sorted([...literals(pattern, paths), ...refused]), codes('Not ready'));
  });

  test('warnings of /readyz', () => {
    const range = { min: 10_000, max: 10_001 };
    const ports = new AsteriskPorts(range);
    ports.saw(['PJSIP/a-1']);
    const texts = [
      ...literals(/warnings\.push\(`([^`]+)`/g, ['daemon.ts']),
      ...rangeWarnings({ maxCalls: 9, transport: 'rtp', asterisk: range, bridge: range }),
      ...ports.warnings(0, 1),
    ];
    assert.equal(texts.length, 6);
    assertMatched(texts, codes('Warnings'));
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
