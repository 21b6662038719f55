/**
 * What compose.yaml and the scripts ensure: each service reads only its secrets, limits are set,
 * and nothing stops before a start is certain.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const root = new URL('../../', import.meta.url);
const compose = readFileSync(new URL('compose.yaml', root), 'utf8');
/** Each service's lines. */
const services = new Map(
  (/^services:\n([\s\S]*?)^(?=\S)/m.exec(compose)?.[1] ?? '')
    .split(/^(?= {2}[\w-]+:\n)/m)
    .map((text) => [/^ {2}([\w-]+):/.exec(text)?.[1] ?? '', text] as const)
    .filter(([name]) => name !== ''),
);

test('each service has limits of memory and processes, a file system that is read-only, and no rights', () => {
  assert.deepEqual([...services.keys()], ['asterisk', 'bridge', 'mock-pipecat']);
  const shared = /^x-service: &service\n([\s\S]*?)^(?=\S)/m.exec(compose)?.[1] ?? '';
  for (const line of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true'])
    assert.ok(shared.includes(line), line);
  for (const [name, text] of services) {
    assert.match(text, /^ {4}<<: (\*service|\[\*service, \*audio\])$/m, name);
    assert.match(text, /^ {4}mem_limit: [1-9]\d*g$/m, name);
    assert.match(text, /^ {4}pids_limit: [1-9]\d*$/m, name);
    assert.doesNotMatch(text, /privileged: true|cap_add|docker\.sock|^ {4}(read_only|cap_drop|user):/m, name);
  }
});

test('what carries audio goes before other containers of the machine', () => {
  const weight = /^x-audio: &audio\n {2}cpu_shares: (\d+)$/m.exec(compose)?.[1];
  assert.ok(Number(weight) >= 2_048, `${weight}; the usual one is 1024`);
  for (const name of ['asterisk', 'bridge'])
    assert.match(services.get(name) ?? '', /^ {4}<<: \[\*service, \*audio\]$/m, name);
});

test('each service has its own secrets, and nobody another’s', () => {
  for (const [name, text] of services) {
    const mounts = text.match(/^ {6}- \S*secrets\S*$/gm) ?? [];
    const own = name === 'mock-pipecat' ? [] : [`      - ./secrets/${name}:/run/secrets:ro`];
    assert.deepEqual(mounts, own, name);
  }
});

interface Run {
  readonly status: number | null;
  readonly output: string;
  /** What the commands that stand in for the real ones were called with, a line each. */
  readonly calls: string[];
}

/**
 * A copy of the stack's directory in which the scripts find stand-ins for `docker`, `chown`, `sudo`
 * and `id`.
 */
function directory(t: TestContext, files: Readonly<Record<string, string>>) {
  const path = mkdtempSync(join(tmpdir(), 'deployment-'));
  t.after(() => rmSync(path, { recursive: true }));
  cpSync(new URL('scripts', root), join(path, 'scripts'), { recursive: true });
  for (const name of ['secrets', 'asterisk/providers']) mkdirSync(join(path, name), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  const run = (script: string, commands: Readonly<Record<string, string>>): Run => {
    rmSync(join(path, 'calls'), { force: true });
    // Functions, for a folder for temporary files may not be one for programs.
    const functions = Object.entries(commands).map(
      ([name, text]) =>
        `${name}() { echo "${name} $*" >>'${path}/calls'\n${text || ':'}\n}\nexport -f ${name}`,
    );
    const command = [...functions, script].join('\n');
    const { status, stdout, stderr } = spawnSync('bash', ['-c', command], { cwd: path, encoding: 'utf8' });
    const output = stdout + stderr;
    const calls = spawnSync('cat', [join(path, 'calls')], { encoding: 'utf8' })
      .stdout.split('\n')
      .slice(0, -1);
    return { status, output, calls };
  };
  return { path, run };
}

/** A stack of version 0.1, whose secrets lie in one folder for both. */
const OLD_STACK = {
  '.env': 'ARI_PASSWORD_FILE=/run/secrets/ari\nAPI_TOKEN_FILE=/run/secrets/token\n',
  'asterisk/providers/acme.env':
    'PASSWORD_FILE=/run/secrets/acme\nPIPECAT_AUTHORIZATION_FILE=/run/secrets/bot\n',
  'secrets/ari': 'a',
  'secrets/token': 't',
  'secrets/acme': 'p',
  'secrets/bot': 'b',
  'secrets/nobody': 'n',
};
const AS_ROOT = { id: 'echo 0', chown: 'return 0' };

test('a secret goes to who reads it, for whom alone it can be read; the old one stays until the new stack runs', (t) => {
  const { path, run } = directory(t, OLD_STACK);
  const { status, output, calls } = run('bash scripts/secrets.sh', AS_ROOT);
  assert.equal(status, 0, output);
  const owners: Record<string, string[]> = {
    ari: ['asterisk', 'bridge'],
    token: ['bridge'],
    acme: ['asterisk'],
    bot: ['bridge'],
    nobody: [],
  };
  for (const [name, readers] of Object.entries(owners)) {
    assert.ok(statSync(join(path, 'secrets', name)).isFile(), `${name} is there still`);
    for (const service of ['asterisk', 'bridge']) {
      const copy = statSync(join(path, 'secrets', service, name), { throwIfNoEntry: false });
      assert.equal(copy !== undefined, readers.includes(service), `${name} of ${service}`);
      if (copy === undefined) continue;
      assert.equal(copy.mode & 0o777, 0o400);
      const uid = service === 'asterisk' ? 5060 : 8090;
      assert.ok(calls.includes(`chown ${uid}:${uid} secrets/${service}/${name}`), calls.join('\n'));
    }
  }
  assert.match(output, /nobody reads secrets\/nobody/);
  assert.equal(run('bash scripts/secrets.sh --tidy', AS_ROOT).status, 0);
  const left = Object.keys(owners).filter((name) =>
    statSync(join(path, 'secrets', name), { throwIfNoEntry: false }),
  );
  assert.deepEqual(left, ['nobody']);
});

test('who cannot give a secret to its reader is told what to do, and nothing is changed', (t) => {
  const { path, run } = directory(t, { '.env': '' });
  mkdirSync(join(path, 'secrets/asterisk'));
  writeFileSync(join(path, 'secrets/asterisk/acme'), 'p', { mode: 0o600 });
  const { status, output, calls } = run('bash scripts/secrets.sh', {
    id: 'echo 1000',
    sudo: 'return 1',
    chown: '',
  });
  assert.notEqual(status, 0);
  assert.match(output, /mode 0400 .*nothing was changed[\s\S]*sudo chown 5060:5060/);
  assert.ok(!calls.some((call) => call.startsWith('chown')));
  assert.equal(statSync(join(path, 'secrets/asterisk/acme')).mode & 0o777, 0o600);
});

/** The functions of up.sh, without what it does at its end. */
const UP = `. <(sed '$d' scripts/up.sh | sed 's#^cd .*##'); `;

for (const [script, functions] of [
  ['up', 'check_configuration'],
  ['reload', 'check'],
])
  test(`${script}: a full disk is named, and nothing is asked of Docker`, (t) => {
    const { path, run } = directory(t, { '.env': '' });
    mkdirSync(join(path, '.logs'));
    symlinkSync('/dev/full', join(path, '.logs/check.log'));
    const { status, output, calls } = run(
      `. <(sed '$d' scripts/${script}.sh | sed 's#^cd .*##'); ${functions}`,
      { docker: '' },
    );
    assert.notEqual(status, 0);
    assert.match(output, /No space left on device[\s\S]*\.logs cannot be written[\s\S]*df -h/);
    assert.deepEqual(calls, []);
  });

test('a check that fails without a word is said all the same', (t) => {
  const { run } = directory(t, { '.env': '' });
  const { output } = run(`${UP} check_configuration`, {
    docker: 'case "$*" in *check*) return 78 ;; esac',
  });
  assert.match(output, /asterisk would not start; nothing was stopped/);
});

test('a configuration that would not start stops nothing: it is found before anything else is asked of Docker', (t) => {
  const { run } = directory(t, { '.env': '' });
  const docker = 'case "$*" in *check*) echo "DTMF: is not known"; return 78 ;; esac';
  const { status, output, calls } = run(`${UP} check_configuration; start`, { docker });
  assert.notEqual(status, 0);
  assert.match(output, /DTMF: is not known[\s\S]*nothing was stopped/);
  const harmless = /^docker compose (config --format json|run --rm --no-deps --no-TTY \w+ .*--check( -)?)$/;
  assert.deepEqual(
    calls.filter((call) => !harmless.test(call)),
    [],
  );
  const main =
    /^main\(\) \{\n([\s\S]*?)^\}/m.exec(readFileSync(new URL('scripts/up.sh', root), 'utf8'))?.[1] ?? '';
  const order = main.split('\n').map((line) => line.trim());
  assert.ok(order.indexOf('check_configuration') >= 0);
  assert.ok(order.indexOf('check_configuration') < order.findIndex((line) => line.startsWith('start')));
});

test('services of a profile that is off are stopped, others are not', (t) => {
  const { run } = directory(t, { '.env': 'COMPOSE_PROFILES=\n' });
  const docker = [
    'case "$*" in',
    '  "compose config --services") printf "asterisk\\nbridge\\n" ;;',
    "  *'ps --all --services') printf 'asterisk\\nbridge\\nmock-pipecat\\n' ;;",
    'esac',
  ].join('\n');
  const { calls, output } = run(`${UP} remove_switched_off`, { docker });
  const removed = calls.filter((call) => / rm /.test(call));
  assert.deepEqual(removed, ['docker compose --profile * rm --stop --force mock-pipecat'], output);
});

test('a Release file that has expired is taken only where there is no better one', () => {
  for (const name of [
    'asterisk/Dockerfile',
    'node/Dockerfile',
    'e2e/Dockerfile',
    'scripts/host.sh',
    'scripts/host-packages.sh',
  ]) {
    const lines = readFileSync(new URL(name, root), 'utf8').split('\n');
    for (const line of lines.filter((line) => line.includes('Check-Valid-Until=false')))
      assert.match(line, /update \|\| .*Check-Valid-Until=false/, `${name}: ${line}`);
  }
});

test('no script writes to a name in the temporary directory that others can foresee', () => {
  const scripts = globSync('scripts/*.sh', { cwd: root });
  assert.ok(scripts.length > 10);
  const found = scripts.flatMap((name) =>
    readFileSync(new URL(name, root), 'utf8')
      .split('\n')
      .filter((line) => /\/tmp\/|TMPDIR/.test(line))
      .map((line) => `${name}: ${line.trim()}`),
  );
  assert.deepEqual(found, []);
});
