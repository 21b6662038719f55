import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { configDigest } from './digest.ts';
import { loadConfig } from './environment.ts';

const PROVIDER = 'AUTH=ip\nMATCH=203.0.113.10\nPIPECAT_URL=ws://127.0.0.1:7860/ws\nTENANT=acme\n';

type Texts = Readonly<Record<string, string>>;

/** A folder for providers' files, and what the digest of files in it and of settings is. */
function folder(t: TestContext): (files: Texts, settings?: Texts) => string {
  const directory = mkdtempSync(join(tmpdir(), 'digest-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return (files, settings = {}) => {
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const named = Object.entries(settings).map(([name, value]) => [name, value.replace('$DIR', directory)]);
    const given = { ARI_USERNAME: 'bridge', ARI_PASSWORD: 'not-a-real-one', PROVIDERS_DIR: directory };
    return configDigest(loadConfig(Object.assign(given, Object.fromEntries(named))));
  };
}

test('comments, blank lines and the order of a provider’s file change nothing', (t) => {
  const digest = folder(t);
  const before = digest({ 'acme.env': PROVIDER });
  const lines = PROVIDER.trim().split('\n').reverse().join('\n\n# why\n');
  assert.equal(digest({ 'acme.env': `# new\n${lines}\n` }), before);
});

test('what only Asterisk reads of a provider’s file changes nothing for the bridge', (t) => {
  const digest = folder(t);
  const before = digest({ 'acme.env': PROVIDER });
  assert.equal(digest({ 'acme.env': `${PROVIDER}MAX_CALLS=7\nCODECS=alaw\n` }), before);
});

test('a value, a provider, a setting, a file that a setting names: each changes the digest', (t) => {
  const digest = folder(t);
  const files = { 'acme.env': PROVIDER, token: 'an-old-token-of-ours', ca: 'old' };
  const settings = { API_TOKEN_FILE: '$DIR/token', NODE_EXTRA_CA_CERTS: '$DIR/ca' };
  const digests = [
    digest(files, settings),
    digest({ ...files, 'acme.env': PROVIDER.replace('acme', 'ours') }, settings),
    digest({ ...files, 'other.env': PROVIDER.replace('.10', '.11') }, settings),
    digest({ ...files, token: 'a-new-token-of-ours' }, settings),
    digest({ ...files, ca: 'new' }, settings),
    digest(files, { ...settings, MAX_CALLS: '7' }),
  ];
  assert.equal(new Set(digests).size, digests.length);
});

test('the digest does not tell what it is of to who does not know the password of ARI', (t) => {
  const digest = folder(t);
  const files = { 'acme.env': PROVIDER };
  assert.notEqual(digest(files), digest(files, { ARI_PASSWORD: 'another-real-one' }));
});
