/** Asterisk's log on its way out: asterisk/refusals. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const program = new URL('../../asterisk/refusals', import.meta.url).pathname;
const MARK = '0123456789abcdef';

function passed(lines: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = execFile('perl', [program, MARK], (error, stdout) =>
      error ? reject(error) : resolve(stdout.split('\n').filter((line) => line !== '')),
    );
    child.stdin?.end(`${lines.join('\n')}\n`);
  });
}

const refused = (address: string, event = 'ChallengeSent', mark = ` ${MARK}`) =>
  `[2026-11-27 12:00:00.000${mark}] SECURITY[9]: res_security_log.c:114 security_event_stasis_cb: SecurityEvent="${event}",AccountID="<unknown>",SessionID="x",LocalAddress="IPV4/UDP/127.0.0.1/5060",RemoteAddress="IPV4/UDP/${address}/4711",Challenge=""`;
const garbage = (address: string) =>
  `[2026-11-27 12:00:00.000 ${MARK}] WARNING[1]: pjproject: <?>: \tsip_transport.c Dropping 9 bytes packet from UDP ${address}:42027 : PJSIP syntax error`;

test('the first five refusals of a source are lines, the others a sum; what else is said is passed on', async () => {
  const other = `[2026-11-27 12:00:00.000 ${MARK}] WARNING[1]: something`;
  const flood = Array.from({ length: 2000 }, () => refused('192.0.2.1'));
  const lines = await passed([other, ...flood, refused('192.0.2.2'), 'Asterisk Ready.']);
  assert.equal(lines[0], '[2026-11-27 12:00:00.000] WARNING[1]: something');
  assert.equal(lines.filter((line) => line.includes('IPV4/UDP/192.0.2.1/')).length, 5);
  assert.ok(lines.includes(refused('192.0.2.2', 'ChallengeSent', '')));
  assert.ok(lines.includes('Asterisk Ready.'));
  assert.match(lines.at(-1) ?? '', /SECURITY\[0\]: refusals: 1995 more from 192\.0\.2\.1$/);
  assert.equal(lines.length, 9);
});

test('packets that are no SIP are summed up too', async () => {
  const lines = await passed(Array.from({ length: 8 }, () => garbage('192.0.2.3')));
  assert.equal(lines.length, 6);
  assert.match(lines[5] ?? '', /refusals: 3 more from 192\.0\.2\.3$/);
});

test('many sources: their number is bounded', async () => {
  const many = Array.from({ length: 1200 }, (_, at) => refused(`10.0.${at >> 8}.${at & 255}`));
  const lines = await passed(many);
  assert.equal(lines.length, 1001);
  assert.match(lines.at(-1) ?? '', /refusals: 200 more from other addresses$/);
});

test('lines that a stranger wrote in his name do not have others banned; the name itself is not told', async () => {
  const forged = [
    `[2026-11-27 12:00:00.000 ${MARK}] SECURITY[9]: x: SecurityEvent="InvalidAccountID",AccountID="a`,
    refused('198.51.100.1', 'ChallengeSent', ''),
    refused('198.51.100.1', 'ChallengeSent', ' feedfeedfeedfeed'),
    '[2026-11-27 12:00:00.000] SECURITY[0]: refusals: 9 more from 198.51.100.1',
    'anything',
    'b",SessionID="y",RemoteAddress="IPV4/UDP/192.0.2.1/5"',
  ];
  assert.deepEqual(await passed([...forged, refused('192.0.2.1')]), [
    refused('192.0.2.1', 'ChallengeSent', ''),
  ]);
});

test('the last address counts, whatever a Call-ID says', async () => {
  const line = refused('192.0.2.1').replace(
    'SessionID="x"',
    'SessionID="x",RemoteAddress="IPV4/UDP/198.51.100.1/5"',
  );
  const lines = await passed(Array.from({ length: 6 }, () => line));
  assert.match(lines.at(-1) ?? '', /refusals: 1 more from 192\.0\.2\.1$/);
});

test('the filter for fail2ban finds the address in what is passed on, in Docker’s files too', async () => {
  const filter = readFileSync(
    new URL('../../asterisk/fail2ban/pipecat-bridge.conf', import.meta.url),
    'utf8',
  );
  const [, list = ''] = /^failregex = ([\s\S]*?)^ignoreregex/m.exec(filter) ?? [];
  const expressions = list
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => new RegExp(line.replace('<HOST>', '([\\d.]+)')));
  const chosen = refused('192.0.2.1').replace(
    'SessionID="x"',
    'SessionID="x",RemoteAddress="IPV4/UDP/198.51.100.1/5"',
  );
  const lines = await passed([...Array.from({ length: 6 }, () => chosen), garbage('192.0.2.1')]);
  assert.equal(lines.length, 6);
  for (const line of [...lines, (await passed([garbage('192.0.2.1')]))[0] ?? '']) {
    for (const text of [line, `${JSON.stringify({ log: `${line}\n`, stream: 'stdout' })}`]) {
      const found = expressions.map((expression) => expression.exec(text)?.[1]).filter(Boolean);
      assert.deepEqual(found, ['192.0.2.1'], text);
    }
  }
  const others = ['[2026-11-27 12:00:00.000] WARNING[1]: something from 192.0.2.1', 'Asterisk Ready.'];
  for (const line of others) assert.ok(expressions.every((expression) => !expression.test(line)));
});
