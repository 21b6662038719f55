/**
 * The digest of Asterisk's configuration, by which `make up` knows whether Asterisk has to restart.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'asterisk-digest-'));
});
after(() => rm(root, { recursive: true }));

type Files = Readonly<Record<string, string>>;

const PROVIDER = 'AUTH=registration\nHOST=sip.invalid\nUSERNAME=me\nPASSWORD_FILE=$DIR/password\n';
const DIALPLAN = '[ours]\nexten => s,1,Hangup()\n';
const FILES: Files = { 'acme.env': PROVIDER, 'ours.conf': DIALPLAN, password: 'a-password' };

/**
 * The digest of these files, with these settings. `resolves`: whether host names have an address.
 */
async function digest(
  files: Files,
  settings = '',
  resolves = true,
  what = 'configuration_digest',
): Promise<string> {
  const directory = await mkdtemp(join(root, 'files-'));
  for (const [name, text] of Object.entries(files))
    await writeFile(join(directory, name), text.replace('$DIR', directory));
  const script = `
    set -euo pipefail
    declare -A value=([SIP_ADDRESS]=127.0.0.1 [EXTERNAL_ADDRESS]= [LOCAL_NETS]= [ARI_PASSWORD]=secret [LOG_MARK]=$RANDOM)
    ${settings}
    problems=() providers=$1
    problem() { problems+=("$1: $2"); }
    getent() { ${resolves ? "echo '192.0.2.1 STREAM sip.invalid'" : 'return 2'}; }
    source "$2/checks.sh"
    source "$2/providers.sh"
    source "$2/reloading.sh"
    for name in configuration_digest setting_lines dialplan_text; do
      source <(sed -n "/^$name()/,/^}/p" "$2/entrypoint")
    done
    check_providers
    [[ \${#problems[@]} = 0 ]] || { printf '%s\\n' "\${problems[@]}"; exit 1; }
    said=("\${said[@]//$1/}")
    ${what}`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'digest', directory, asterisk]);
  return stdout.trim();
}

test('comments, the order of lines, and what only the bridge reads change nothing', async () => {
  const before = await digest(FILES);
  assert.match(before, /^[0-9a-f]{32}$/);
  const lines = PROVIDER.trim().split('\n').reverse().join('\n\n# why\n');
  const commented = {
    ...FILES,
    'acme.env': `${lines}\n`,
    'ours.conf': `; why\n\n${DIALPLAN}  ; and so on\n`,
  };
  assert.equal(await digest(commented), before);
  assert.equal(await digest({ ...FILES, 'acme.env': `${PROVIDER}TENANT=acme\nMAX_CALLS=\n` }), before);
});

test('a name that cannot be resolved just now changes nothing', async () => {
  assert.equal(await digest(FILES, '', false), await digest(FILES));
});

test('a value, a password, a provider, a setting, the dialplan: each changes the digest', async () => {
  const digests = await Promise.all([
    digest(FILES),
    digest({ ...FILES, 'acme.env': `${PROVIDER}MAX_CALLS=7\n` }),
    digest({ ...FILES, 'two.env': PROVIDER.replace('me\n', 'you\n') }),
    digest({ ...FILES, password: 'another-password' }),
    digest({ ...FILES, 'ours.conf': DIALPLAN.replace('s,1', 't,1') }),
    digest({ ...FILES, 'ours.conf': `;-- a\n${DIALPLAN}--;\n` }),
    digest(FILES, 'value[FALLBACK]=ours,s'),
    digest(FILES, 'value[ARI_PASSWORD]=other'),
    digest(FILES, 'TZ=Europe/Berlin'),
  ]);
  assert.equal(new Set(digests).size, digests.length, digests.join('\n'));
});

const restart = (files: Files, settings = '') => digest(files, settings, true, 'restart_lines');

test('a restart is needed for settings, NAT=yes and a contact port, and for nothing else of a file', async () => {
  const before = await restart(FILES);
  for (const line of ['MAX_CALLS=7', 'CODECS=alaw', 'NAT=contact', 'TRANSPORT=tcp', 'FROM_USER=other'])
    assert.equal(await restart({ ...FILES, 'acme.env': `${PROVIDER}${line}\n` }), before, line);
  const other = { 'new.env': 'AUTH=ip\nMATCH=192.0.2.7\n', 'ours.conf': '', password: 'another-one' };
  assert.equal(await restart({ ...FILES, ...other }), before);
  const port = await restart({ ...FILES, 'acme.env': `${PROVIDER}CONTACT_PORT=5099\n` });
  assert.equal(port, `${before}\nacme.env:CONTACT_PORT=udp 5099`);
  const nat = await restart({ ...FILES, 'acme.env': `${PROVIDER}NAT=yes\n` }, 'value[RTP_PROBATION]=9');
  assert.match(nat, /^NAT=4$/m);
  assert.notEqual(await restart(FILES, 'value[SIP_ADDRESS]=127.0.0.9'), before);
});
