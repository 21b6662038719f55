/**
 * Two directories on one host, a stack in each or in one of them: no script stops, replaces, cleans
 * or reports the other one's. Stand-ins for Docker say what runs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const root = new URL('../../', import.meta.url);
/** Commands of Docker that change nothing. */
const HARMLESS =
  /^docker (info|version|ps|inspect|image (ls|inspect)|compose( --profile \S+)? (ps|config|version)|buildx version)\b/;

/** Nothing is built: scripts in a folder for temporary files may not be programs. */
const INSTALLED = 'VERSION=9.8.7\n';

let directory: string;
let other: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'own-stack-'));
  other = mkdtempSync(join(tmpdir(), 'own-stack-'));
  cpSync(new URL('scripts', root), join(directory, 'scripts'), { recursive: true });
  mkdirSync(join(directory, '.logs'));
  writeFileSync(join(directory, '.env'), INSTALLED);
});
after(() => {
  for (const path of [directory, other]) rmSync(path, { recursive: true });
});

interface Host {
  /**
   * The directory of each container that has the project's name; empty for one that `docker run`
   * started, of an image that has the label.
   */
  readonly owners: readonly string[];
  /** What else a command of Docker prints: text of it -> shell. */
  readonly answers?: Readonly<Record<string, string>>;
}

/** Runs shell in the directory; `calls` are the commands that Docker got. */
function run(script: string, { owners, answers = {} }: Host) {
  const cases = Object.entries(answers).map(
    ([text, does]) => `[[ "$*" != *'${text}'* ]] || { ${does}; return; }`,
  );
  const command = `
    docker() {
      echo "docker $*" >>'${directory}/calls'
      ${cases.join('\n      ')}
      case "$*" in
        *project.working_dir*) printf '%s\\n' ${owners.map((owner) => `'${owner}'`).join(' ')} ;;
        'compose ps --services'*) echo bridge ;;
        *'ps --all --quiet'*) echo 1234 ;;
      esac
    }
    export -f docker
    ${script}`;
  rmSync(join(directory, 'calls'), { force: true });
  writeFileSync(join(directory, 'calls'), '');
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: directory,
    encoding: 'utf8',
    env: { ...process.env, COMPOSE_PROJECT_NAME: '', VERSION: '' },
  });
  const calls = readFileSync(join(directory, 'calls'), 'utf8').split('\n').slice(0, -1);
  return { status, output: stdout + stderr, calls, changes: calls.filter((call) => !HARMLESS.test(call)) };
}

/** The functions of up.sh, without what it does at its end. */
const UP = `. <(sed '$d' scripts/up.sh | sed 's#^cd .*##'); `;
/** For scripts that end by an `exec` of Docker, which is a function here. */
const EXEC = 'exec() { "$@"; }; export -f exec; ';
const COMMANDS = {
  'make up': `${UP} require_own_stack; start`,
  'make down': 'bash scripts/down.sh',
  'make clean': 'bash scripts/clean.sh',
  'make call': `${EXEC} bash scripts/call.sh`,
  'make ps': `${EXEC} bash scripts/compose.sh ps --all`,
  'make logs': `${EXEC} bash scripts/compose.sh logs --follow`,
};

describe('two directories, one name of their stacks', () => {
  for (const [name, script] of Object.entries(COMMANDS)) {
    test(`${name} leaves the other one's stack alone, whatever else runs of our images`, () => {
      for (const owners of [[other], ['', other], [other, ''], [directory, other]]) {
        const { status, output, changes } = run(script, { owners });
        assert.notEqual(status, 0, `${owners}: ${output}`);
        assert.ok(output.includes(other), output);
        assert.deepEqual(changes, []);
      }
    });

    test(`${name} works where the stack is of this directory`, () => {
      for (const owners of [[], [''], ['', directory], [`${directory}/.`]]) {
        const { status, output } = run(script, { owners });
        assert.equal(status, 0, `${owners}: ${output}`);
      }
    });
  }

  test('a stack whose containers are of both can be stopped: make down says how, and does it', () => {
    const owners = [directory, other];
    const { output } = run(COMMANDS['make down'], { owners });
    assert.match(output, /make down ALL=1/);
    const { status, calls } = run(`ALL=1 ${COMMANDS['make down']}`, { owners });
    assert.equal(status, 0);
    assert.ok(
      calls.some((call) => call.startsWith('docker compose --profile * down')),
      calls.join('\n'),
    );
    assert.doesNotMatch(run(COMMANDS['make down'], { owners: [other] }).output, /ALL=1/);
  });

  test('no target of make asks Docker itself, past the guard', () => {
    for (const name of ['Makefile', 'scripts/stack.mk'].filter((name) => existsSync(new URL(name, root))))
      assert.doesNotMatch(readFileSync(new URL(name, root), 'utf8'), /^\t.*docker/m, name);
  });

  test('make up and make down ask nothing of Docker that they did not understand', () => {
    for (const script of [COMMANDS['make up'], COMMANDS['make down']]) {
      const { status, changes } = run(script, {
        owners: [],
        answers: { 'project.working_dir': 'return 1' },
      });
      assert.notEqual(status, 0);
      assert.deepEqual(changes, []);
    }
  });

  test('make doctor says whose stack it is, and looks no further into it', () => {
    const doctor = `. <(sed '$d' scripts/doctor.sh | sed 's#^cd .*##'); check_stack; echo "problems $problems"`;
    const { output, calls } = run(doctor, { owners: ['', other] });
    assert.ok(output.includes(other), output);
    assert.match(output, /problems 1$/m);
    assert.deepEqual(
      calls.filter((call) => call.startsWith('docker compose')),
      [],
    );
  });
});

test('our images have not the name of a stack: containers of docker run are of no stack', () => {
  const { calls } = run('bash scripts/build.sh bridge', { owners: [] });
  assert.equal(calls.length, 2);
  for (const call of calls) assert.match(call, /^docker compose --project-name pipecat-bridge-images /);
});

test('make clean keeps images that containers use, and others of their version', () => {
  const images = [
    'sha256:a pipecat-bridge/bridge:dev',
    'sha256:b pipecat-bridge/sipp:dev',
    'sha256:c pipecat-bridge/bridge:0.1.0',
    'sha256:d pipecat-bridge/sipp:0.1.0',
    'sha256:e pipecat-bridge/asterisk:1234',
    'sha256:f <none>:<none>',
    'sha256:g <none>:<none>',
  ];
  const { status, output, calls } = run('bash scripts/clean.sh', {
    owners: [],
    answers: {
      'image ls': `[[ "$*" != *label=pipecat-bridge\\ * ]] || printf '%s\\n' ${images.map((line) => `'${line}'`).join(' ')}`,
      'ps --all --filter label=pipecat-bridge ': 'echo "1 pipecat-bridge/bridge:0.1.0"; echo "2 sha256:f"',
      'inspect --format {{.Image}}': 'printf "%s\\n" sha256:c sha256:e sha256:f',
    },
  });
  assert.equal(status, 0, output);
  assert.match(output, /kept/);
  const removed = calls.flatMap((call) => /^docker image rm --force (.*)$/.exec(call)?.[1]?.split(' ') ?? []);
  assert.deepEqual(removed, ['pipecat-bridge/bridge:dev', 'pipecat-bridge/sipp:dev', 'sha256:g']);
});

test('without PIPECAT_URL the bridge, make doctor and make bot-check take the mock where .env puts it', () => {
  const compose = readFileSync(new URL('compose.yaml', root), 'utf8');
  const inCompose = /^ {2}PIPECAT_URL: (.+)$/m.exec(compose)?.[1] ?? '';
  const cases = [
    ['', 'ws://127.0.0.1:8080/ws/asterisk'],
    ['MOCK_PORT=8086', 'ws://127.0.0.1:8086/ws/asterisk'],
    ['MOCK_PORT=8086 MOCK_ADDRESS=127.0.0.9', 'ws://127.0.0.9:8086/ws/asterisk'],
    ['MOCK_PORT=8086 PIPECAT_URL=wss://bot/ws', 'wss://bot/ws'],
  ] as const;
  for (const [settings, url] of cases) {
    writeFileSync(join(directory, '.env'), INSTALLED + settings.replaceAll(' ', '\n'));
    const script = `. scripts/settings.sh; bot_url; echo; ${settings || ':'}; echo "${inCompose}"; ${EXEC} bash scripts/bot-check.sh`;
    const { output, calls } = run(script, { owners: [] });
    assert.deepEqual(output.split('\n').slice(0, 2), [url, url], settings);
    assert.ok(calls.at(-1)?.includes(` --url ${url} `), calls.at(-1));
  }
  writeFileSync(join(directory, '.env'), INSTALLED);
});
