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

const said = (text: string) => `[2026-11-27 12:00:00.000 ${MARK}] ${text}`;

/** What one request, or each datagram of a stranger, makes Asterisk say; seen with 22.10. */
const CHATTER: Readonly<Record<string, readonly [line: (at: number) => string, place: string]>> = {
  'datagrams too short for RTP': [
    (at) =>
      said(`WARNING[${at}][C-00000${at % 7}a]: res_rtp_asterisk.c:8404 ast_rtp_read: RTP Read too short`),
    'res_rtp_asterisk.c:8404 ast_rtp_read',
  ],
  'datagrams that look like TLS': [
    (at) =>
      said(
        `ERROR[5827]: res_rtp_asterisk.c:3270 __rtp_recvfrom: Received SSL traffic on RTP instance '0x7f${at}'`,
      ),
    'res_rtp_asterisk.c:3270 __rtp_recvfrom',
  ],
  'an offer of a thousand formats': [
    (at) =>
      said(
        `WARNING[186]: pjproject: <?>: \t                 sdp.c .Error adding SDP media format ${at}, ignored`,
      ),
    'pjproject: <?>: sdp.c',
  ],
  'transactions, each under its own name': [
    (at) => said(`ERROR[186]: pjproject: <?>: \t   tsx0x7f66${(1e6 + at).toString(16)} ...Failed to send`),
    'pjproject: <?>: tsx',
  ],
};

for (const [what, [line, place]] of Object.entries(CHATTER)) {
  test(`warnings and errors of one place are a few lines and a sum: ${what}`, async () => {
    const other = said('WARNING[1]: res_pjsip.c:1 other: said once');
    const lines = await passed([...Array.from({ length: 1000 }, (_, at) => line(at)), other]);
    assert.equal(lines.length, 22);
    assert.equal(lines[20], other.replace(` ${MARK}`, ''));
    assert.ok(lines[21]?.endsWith(`WARNING[0]: refusals: 980 more of ${place}`), lines[21]);
  });
}

test('a packet that the stack gave up is not shown: it is a stranger’s text, with numbers of people', async () => {
  const given = (port: number) =>
    said(
      `ERROR[191]: pjproject: <?>: \t        sip_endpoint.c Error processing packet from 192.0.2.1:${port}: Rx buffer overflow (PJSIP_ERXOVERFLOW)  [code 171062]:`,
    );
  const packet = [
    'INVITE sip:+4930123456@h SIP/2.0',
    '[2026-11-27 12:00:00.000] ERROR[1]: all is lost',
    '',
    'X-A: b',
  ];
  const dump = (port: number) => [given(port), ...packet, '-- end of packet.'];
  const other = said('WARNING[1]: res_pjsip.c:1 other: said once');
  const lines = await passed([...dump(1), ...dump(2), other, 'Asterisk Ready.']);
  const shown = [given(1), given(2), other].map((line) => line.replace(` ${MARK}`, ''));
  assert.deepEqual(lines, [...shown, 'Asterisk Ready.']);
  const flood = await passed(Array.from({ length: 100 }, (_, at) => dump(at)).flat());
  assert.equal(flood.length, 6);
  assert.match(flood[5] ?? '', /SECURITY\[0\]: refusals: 95 more from 192\.0\.2\.1$/);
});

test('a caller’s name and number are not told, on one line or more', async () => {
  const start = 'WARNING[186]: res_pjsip.c:2613 set_id_from_hdr: CallerID Name';
  const end = "for number '+4915112345' has invalid UTF-8 characters which were replaced";
  const lines = await passed([said(`${start} 'M\xfcller' ${end}`), said(`${start} 'a`), `b' ${end}`]);
  const masked = said(`${start} is no UTF-8: its characters were replaced`).replace(` ${MARK}`, '');
  assert.deepEqual(lines, [masked, masked]);
});

test('lines without a time are bounded, but for what the operator asked to see', async () => {
  const loose = Array.from({ length: 300 }, (_, at) => `what follows a line's end, ${at}`);
  const lines = await passed([said('WARNING[1]: app.c:1 x: a'), ...loose]);
  assert.equal(lines.length, 102);
  assert.match(lines[101] ?? '', /WARNING\[0\]: refusals: 200 more lines without a time$/);
  const shown = await passed([
    said('VERBOSE[9]: res_pjsip_logger.c:1 x: <--- Received SIP request'),
    ...loose,
  ]);
  assert.equal(shown.length, 301);
});

test('a warning that quotes what a stranger sent is cut', async () => {
  const long = said(
    `WARNING[1][C-0000006f]: pbx_functions.c:475 func_args: Can't find ')' for 'LEN(${'A'.repeat(4000)}`,
  );
  const [line = ''] = await passed([long]);
  assert.ok(line.length < 520 && line.endsWith('…'), `${line.length} characters`);
});
