import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseProviderKeys } from '../src/config/provider-keys.ts';
import { BRIDGE_KEYS, loadProviders } from '../src/config/providers.ts';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'provider-files-'));
});
after(() => rm(root, { recursive: true }));

type Files = Readonly<Record<string, string>>;

/** What Asterisk's entrypoint would say of the files: its own check, without the rest of it. */
async function asteriskSays(directory: string): Promise<string[]> {
  const script = `
    set -euo pipefail
    declare -A value=([SIP_ADDRESS]=127.0.0.1 [EXTERNAL_ADDRESS]= [LOCAL_NETS]=)
    problems=() providers=$1
    problem() { problems+=("$1: $2"); }
    # The same answer on a host that has no address but loopback.
    getent() { echo '127.0.0.1 STREAM localhost'; }
    source "$2/checks.sh"
    source "$2/providers.sh"
    check_providers
    printf '%s\\n' "\${problems[@]}" "\${notes[@]/#/note: }"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'check', directory, asterisk], {
    env: { ...process.env, LINE_PASSWORD: 'a-password', PIN: '4711', SPACED: 'two words' },
  });
  return stdout.split('\n').filter((line) => line !== '' && line !== 'note: ');
}

async function check(files: Files): Promise<{ asterisk: string[]; bridge: string[] }> {
  const directory = await mkdtemp(join(root, 'files-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  const bridge: string[] = [];
  loadProviders(directory, bridge);
  return { asterisk: await asteriskSays(directory), bridge };
}

const ip = (match: string, more = '') => `AUTH=ip\nMATCH=${match}\n${more}`;
const line = (host: string, more = '') =>
  `AUTH=registration\nHOST=${host}\nUSERNAME=me\nPASSWORD_VARIABLE=LINE_PASSWORD\n${more}`;

describe('the keys of provider files', () => {
  test('one list: the bridge reads exactly the keys that are listed as its own', async () => {
    const keys = parseProviderKeys(await readFile(`${asterisk}/provider-keys`, 'utf8'));
    const own = [...keys].filter(([, reader]) => reader === 'bridge').map(([key]) => key);
    assert.deepEqual(own.sort(), [...BRIDGE_KEYS].sort());
  });

  for (const [mistyped, nearest] of [
    ['OUTBOUND_MAX_CALL=2', 'OUTBOUND_MAX_CALLS'],
    ['PIPECAT_URL_INBOND=ws://127.0.0.1/', 'PIPECAT_URL_INBOUND'],
    ['OUTBOUND_CALL_PER_SECOND=1', 'OUTBOUND_CALLS_PER_SECOND'],
    ['MAXCALLS=2', 'MAX_CALLS'],
    ['CODEC=ulaw', 'CODECS'],
    ['RECORDINGS=on', 'RECORDING'],
    ['PIPECAT_AUTORIZATION=Bearer', 'PIPECAT_AUTHORIZATION'],
    ['MAX_CAL=', 'MAX_CALLS'],
    // A part of the name: by its letters alone COUNTRY is nearest to AUTH.
    ['COUNTRY=49', 'COUNTRY_CODE'],
    ['PROXY=sip:127.0.0.1', 'OUTBOUND_PROXY'],
    ['PASSWORD=x', 'PASSWORD_FILE'],
  ] as const) {
    test(`${mistyped} stops both, which name ${nearest}`, async () => {
      const said = await check({ 'a.env': ip('127.0.0.2', mistyped) });
      const [key] = mistyped.split('=');
      const problem = `${key}: is not a key that is known; the nearest is ${nearest}`;
      assert.deepEqual(said, { asterisk: [`a.env:${problem}`], bridge: [`a.env: ${problem}`] });
    });
  }

  test('a provider chooses the password of a line: a short one is taken, one with a space is not', async () => {
    const said = async (variable: string) =>
      (await check({ 'a.env': line('127.0.0.2').replace('LINE_PASSWORD', variable) })).asterisk;
    assert.deepEqual(await said('PIN'), []);
    assert.deepEqual(await said('SPACED'), [
      'a.env:PASSWORD_VARIABLE: the variable SPACED does not hold a password of 1 to 128 printable characters without spaces',
    ]);
  });

  test('a key that stands there twice stops both', async () => {
    const said = await check({ 'a.env': ip('127.0.0.2', 'OUTBOUND_MAX_CALLS=2\nOUTBOUND_MAX_CALLS=200') });
    const problem = 'OUTBOUND_MAX_CALLS: is there twice';
    assert.deepEqual(said, { asterisk: [`a.env:${problem}`], bridge: [`a.env: ${problem}`] });
  });

  test('what is no KEY=value stops both', async () => {
    const said = await check({ 'a.env': ip('127.0.0.2', 'export MAX_CALLS=2\nmax_calls=3\nMAX_CALLS = 4') });
    assert.equal(said.asterisk.length, 3);
    assert.equal(said.bridge.length, 3);
  });

  test('a right file is right for both', async () => {
    const more = '# a comment\n\nOUTBOUND_MAX_CALLS=\nTENANT=shop\nHOST=127.0.0.2\r\n';
    assert.deepEqual(await check({ 'a.env': ip('127.0.0.2', more) }), { asterisk: [], bridge: [] });
  });
});

describe('two providers and one address', () => {
  for (const [one, other] of [
    ['127.0.0.0/28', '127.0.0.2'],
    ['127.0.0.2', '127.0.0.0/28'],
    ['127.0.0.2', '127.0.0.2/32'],
    ['127.0.0.2', '127.00.0.02'],
    ['10.0.0.0/8', '10.200.0.0/16'],
    ['198.51.100.130,198.51.100.64/26', '198.51.100.100/30'],
  ] as const) {
    test(`${one} and ${other} overlap: Asterisk does not start`, async () => {
      const said = await check({ 'a.env': ip(one), 'b.env': ip(other) });
      assert.equal(said.asterisk.length, 1);
      assert.match(said.asterisk[0] ?? '', /^b\.env:MATCH: '.*' overlaps '.*' of a\.env, MATCH: /);
    });
  }

  for (const [one, other] of [
    ['127.0.0.0/28', '127.0.0.16'],
    ['198.51.100.128/25', '198.51.100.127'],
    ['10.0.0.0/9', '10.128.0.0/9'],
  ] as const) {
    test(`${one} and ${other} do not`, async () => {
      assert.deepEqual((await check({ 'a.env': ip(one), 'b.env': ip(other) })).asterisk, []);
    });
  }

  test('networks of one file may overlap', async () => {
    assert.deepEqual((await check({ 'a.env': ip('10.0.0.0/8,10.1.0.0/16') })).asterisk, []);
  });

  test('a registrar’s address counts, by name or number, where the file has no MATCH', async () => {
    for (const host of ['127.0.0.1', 'localhost', 'localhost:5080']) {
      const said = await check({ 'a.env': ip('127.0.0.0/8'), 'b.env': line(host) });
      assert.match(said.asterisk.join(), /^b\.env:HOST: '127\.0\.0\.1' overlaps '127\.0\.0\.0\/8'/, host);
      const other = await check({ 'a.env': line(host), 'b.env': ip('127.0.0.0/8') });
      assert.match(other.asterisk.join(), /^b\.env:MATCH: .* of a\.env, HOST/, host);
    }
  });

  test('two lines at one registrar are told apart by their line alone', async () => {
    const said = await check({ 'a.env': line('127.0.0.3'), 'b.env': line('127.0.0.3') });
    assert.deepEqual(said.asterisk.map((note) => note.split(':').slice(0, 2).join()).sort(), [
      'note, a.env',
      'note, b.env',
    ]);
    const own = await check({ 'a.env': line('127.0.0.3', 'MATCH=127.0.0.4'), 'b.env': line('127.0.0.3') });
    assert.deepEqual(own.asterisk, []);
  });
});
