import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ConfigError, loadConfig } from './environment.ts';

const NEEDED = { ARI_USERNAME: 'pipecat', ARI_PASSWORD: 'secret-of-ari' };

function folder(t: TestContext, files: Record<string, string>): string {
  const path = mkdtempSync(join(tmpdir(), 'config-'));
  t.after(() => rmSync(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

function problems(environment: Record<string, string>): string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

test('all but the ARI user has a default', () => {
  const config = loadConfig(NEEDED);
  assert.equal(config.ARI_URL, 'http://127.0.0.1:8088');
  assert.equal(config.PIPECAT_URL, 'ws://127.0.0.1:8080/ws/asterisk');
  assert.equal(config.HTTP_PORT, 8090);
  assert.equal(config.providers.size, 0);
});

test('an empty value counts as absent', () => {
  assert.equal(loadConfig({ ...NEEDED, HTTP_PORT: '', ARI_APP: '' }).ARI_APP, 'pipecat');
  assert.deepEqual(problems({ ...NEEDED, ARI_PASSWORD: '' }), ['ARI_PASSWORD: is missing']);
});

test('a blank value counts as absent: it is no 0', () => {
  const config = loadConfig({ ...NEEDED, MEDIA_TIMEOUT_MS: ' ', HTTP_PORT: '\t' });
  assert.deepEqual([config.MEDIA_TIMEOUT_MS, config.HTTP_PORT], [30_000, 8090]);
});

test('a value beyond a limit is told the limit, and a time zone that nobody knows is refused', () => {
  const wrong = { MAX_CALLS: '0', API_TOKEN: 'short', RECORDS_DAYS: '9999', TZ: 'Mars/Olympus' };
  assert.deepEqual(problems({ ...NEEDED, ...wrong }).sort(), [
    'API_TOKEN: must have at least 16 characters',
    'MAX_CALLS: must be at least 1',
    'RECORDS_DAYS: must be at most 3650',
    'TZ: must be a time zone, such as Europe/Berlin',
  ]);
  for (const TZ of ['', 'UTC', 'Europe/Berlin']) assert.deepEqual(problems({ ...NEEDED, TZ }), []);
});

test('a value that is no number is named, in .env and in a provider’s file', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'numbers-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'acme.env'), 'AUTH=ip\nMATCH=192.0.2.1\nOUTBOUND_MAX_CALLS=lots\n');
  const found = problems({ ...NEEDED, BOT_REFUSAL_MS: 'abc', MAX_CALLS: '1.5', PROVIDERS_DIR: folder });
  assert.deepEqual(found.sort(), [
    'BOT_REFUSAL_MS: abc is no number',
    'MAX_CALLS: 1.5 is no whole number',
    'acme.env: OUTBOUND_MAX_CALLS: lots is no number',
  ]);
});

for (const [about, value] of [
  ['a letter of another alphabet', 'Bearer t\u043eken'],
  ['a line break', 'Bearer a\nX-Admin: 1'],
  ['a soft hyphen of more than a byte', 'Bearer a\u2010b'],
] as const) {
  test(`a header with ${about} stops the start: it would fail each connection to the bot`, (t) => {
    for (const name of ['PIPECAT_AUTHORIZATION', 'PIPECAT_ORIGIN']) {
      assert.match(problems({ ...NEEDED, [name]: value }).join(), new RegExp(`^${name}: must be a line`));
    }
    const folder = mkdtempSync(join(tmpdir(), 'headers-'));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'token'), value);
    const file = { PIPECAT_AUTHORIZATION_FILE: join(folder, 'token') };
    assert.match(problems({ ...NEEDED, ...file }).join(), /^PIPECAT_AUTHORIZATION: must be a line/);
    writeFileSync(
      join(folder, 'a.env'),
      `PIPECAT_AUTHORIZATION_FILE=${join(folder, 'token')}\nPIPECAT_ORIGIN="${value}"\n`,
    );
    const found = problems({ ...NEEDED, PROVIDERS_DIR: folder });
    const names = ['PIPECAT_AUTHORIZATION_FILE', ...(value.includes('\n') ? [] : ['PIPECAT_ORIGIN'])];
    for (const name of names)
      assert.ok(found.some((line) => line.startsWith(`a.env: ${name}: must be a line`)));
  });
}

test('every problem is named at once, each by its variable', () => {
  const wrong = {
    ARI_URL: 'ftp://x',
    ARI_TIMEOUT_MS: 'soon',
    PIPECAT_URL: 'http://x',
    PIPECAT_DIALECT: 'klingon',
    RTP_ADDRESS: 'localhost',
    RTP_PORT_MIN: '30000',
    RTP_PORT_MAX: '20000',
    DEFAULT_SAMPLE_RATE: '11025',
    MAX_CALLS: '0',
    HTTP_PORT: '70000',
    API_TOKEN: 'short',
    LOG_LEVEL: 'loud',
    PROVIDERS_DIR: '/does/not/exist',
    CALLBACK_SECRET_FILE: '/does/not/exist',
  };
  const named = problems(wrong).map((line) => line.split(':')[0]);
  const expected = ['ARI_USERNAME', 'ARI_PASSWORD', ...Object.keys(wrong)].filter(
    (name) => name !== 'RTP_PORT_MIN',
  );
  assert.deepEqual(named.sort(), expected.sort());
});

test('no value is ever quoted: it may be a secret', () => {
  const wrong = { ...NEEDED, API_TOKEN: 'hush-hush', ARI_URL: 'ftp://u:hush-hush@x', LOG_LEVEL: 'hush-hush' };
  assert.equal(problems(wrong).length, 3);
  assert.doesNotMatch(problems(wrong).join(), /hush-hush|secret-of-ari/);
});

test('secrets may come from files, without the newline at their end', (t) => {
  const path = folder(t, { ari: 'from-file\n', callback: 'signed' });
  const config = loadConfig({
    ARI_USERNAME: 'pipecat',
    ARI_PASSWORD_FILE: join(path, 'ari'),
    CALLBACK_SECRET_FILE: join(path, 'callback'),
  });
  assert.equal(config.ARI_PASSWORD, 'from-file');
  assert.equal(config.CALLBACK_SECRET, 'signed');
});

test('an empty secret file is a problem of the secret', (t) => {
  const path = folder(t, { ari: '\n' });
  const found = problems({ ARI_USERNAME: 'pipecat', ARI_PASSWORD_FILE: join(path, 'ari') });
  assert.equal(found.length, 1);
  assert.match(found[0] ?? '', /^ARI_PASSWORD: /);
});

test('providers are read from their folder, and each of their problems is named with its file', (t) => {
  const path = folder(t, {
    'acme.env':
      '# Acme\nAUTH=ip\nMATCH=192.0.2.1\nPIPECAT_URL=ws://a/\nPIPECAT_URL_OUTBOUND=wss://b/\nTENANT=t\n',
    'plain.env': 'AUTH=ip\n',
    'notes.txt': 'PIPECAT_URL=nonsense',
  });
  const { providers } = loadConfig({ ...NEEDED, PROVIDERS_DIR: path });
  assert.deepEqual([...providers.keys()], ['acme', 'plain']);
  assert.deepEqual(providers.get('acme')?.pipecatUrl, { inbound: 'ws://a/', outbound: 'wss://b/' });
  assert.equal(providers.get('acme')?.tenant, 't');
  assert.equal(providers.get('plain')?.pipecatUrl.inbound, undefined);
  writeFileSync(join(path, 'acme.env'), 'PIPECAT_URL=http://hush-hush/\nPIPECAT_URL_INBOUND=x');
  writeFileSync(join(path, 'plain.env'), 'PIPECAT_AUTHORIZATION_FILE=/does/not/exist');
  const found = problems({ ...NEEDED, PROVIDERS_DIR: path });
  assert.deepEqual(
    found.map((line) => line.split(': ').slice(0, 2).join(': ')),
    ['acme.env: PIPECAT_URL', 'acme.env: PIPECAT_URL_INBOUND', 'plain.env: PIPECAT_AUTHORIZATION_FILE'],
  );
  assert.doesNotMatch(found.join(), /hush-hush/);
});

test('a provider says what may be called through it; without a word of it, that is nothing', (t) => {
  const path = folder(t, {
    'plain.env': 'AUTH=ip\n',
    'us.env':
      'COUNTRY_CODE=1\nTRUNK_PREFIX=none\nNUMBER_FORMAT=national\nALLOWED_PREFIXES=+1,!+1900\nOUTBOUND_CALLS_PER_SECOND=0.5\n',
  });
  const { providers } = loadConfig({ ...NEEDED, PROVIDERS_DIR: path });
  assert.deepEqual(providers.get('plain')?.numbers.allowed, []);
  assert.deepEqual(providers.get('us')?.numbers, {
    format: 'national',
    countryCode: '1',
    trunkPrefix: '',
    internationalPrefix: '00',
    allowed: [
      { prefix: '1', allows: true },
      { prefix: '1900', allows: false },
    ],
  });
  assert.deepEqual(providers.get('us')?.limits, { maxCalls: 0, callsPerSecond: 0.5 });
  writeFileSync(join(path, 'us.env'), 'COUNTRY_CODE=+49\nALLOWED_PREFIXES=x\n');
  assert.deepEqual(problems({ ...NEEDED, PROVIDERS_DIR: path }), [
    'us.env: COUNTRY_CODE: must be the digits of a country code, such as 49',
    'us.env: ALLOWED_PREFIXES: "x" is no prefix such as +49, no !+49900 and no *',
  ]);
});

test('there are as many media workers as the calls need and the cores allow', () => {
  const access = { ARI_USERNAME: 'pipecat', ARI_PASSWORD: 'secret' };
  const workers = (more: Record<string, string>) => loadConfig({ ...access, ...more }).MEDIA_WORKERS;
  assert.equal(workers({ MAX_CALLS: '250' }), 1);
  assert.equal(workers({ MAX_CALLS: '10000' }), Math.max(1, Math.min(40, availableParallelism() - 1)));
  assert.equal(workers({ MEDIA_WORKERS: '7' }), 7);
});

test('an audio format that no call could have stops the start', () => {
  for (const [format, problem] of [
    [{ DEFAULT_SAMPLE_RATE: '16000' }, /DEFAULT_SAMPLE_RATE: only pcm16/],
    [{ DEFAULT_SAMPLE_RATE: '24000', DEFAULT_ENCODING: 'pcma' }, /DEFAULT_SAMPLE_RATE: only pcm16/],
    [{ DEFAULT_ENCODING: 'pcm16', PIPECAT_DIALECT: 'twilio' }, /DEFAULT_ENCODING: PIPECAT_DIALECT=twilio/],
    [{ DEFAULT_ENCODING: 'pcma', PIPECAT_DIALECT: 'twilio' }, /DEFAULT_ENCODING: PIPECAT_DIALECT=twilio/],
  ] as const)
    assert.throws(() => loadConfig({ ...NEEDED, ...format }), problem, JSON.stringify(format));
  for (const format of [
    { DEFAULT_SAMPLE_RATE: '16000', DEFAULT_ENCODING: 'pcm16' },
    { DEFAULT_SAMPLE_RATE: '8000', DEFAULT_ENCODING: 'pcma' },
    { PIPECAT_DIALECT: 'twilio' },
  ])
    assert.doesNotThrow(() => loadConfig({ ...NEEDED, ...format }));
});

test('a port range too small for the media workers stops the start, set by hand or by default', () => {
  const range = (min: number, max: number, workers: number) => ({
    ...NEEDED,
    RTP_PORT_MIN: String(min),
    RTP_PORT_MAX: String(max),
    MEDIA_WORKERS: String(workers),
  });
  const told = 'RTP_PORT_MAX: must leave two ports for each of the 4 media workers (MEDIA_WORKERS)';
  assert.deepEqual(problems(range(30_000, 30_006, 4)), [told]);
  assert.deepEqual(problems(range(30_001, 30_008, 4)), []);
  assert.deepEqual(problems({ ...NEEDED, RTP_PORT_MIN: '23998', MEDIA_WORKERS: '4' }), [told]);
});

test('music that cannot be read or played stops the start', (t) => {
  const path = folder(t, { 'hold.wav': 'no music' });
  assert.deepEqual(problems({ ...NEEDED, COMFORT_WAV: join(path, 'hold.wav') }), [
    'COMFORT_WAV: is no WAV file',
  ]);
  assert.deepEqual(problems({ ...NEEDED, COMFORT_WAV: '/nowhere.wav' }), [
    'COMFORT_WAV: cannot be read (ENOENT)',
  ]);
});
