/**
 * What scripts/rollout.sh does to files and containers, with a stand-in for Docker: in a folder of
 * its own, with the real scripts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
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

/** A folder with a copy of the scripts, and this .env. */
function installation(t: TestContext, env: string) {
  const directory = mkdtempSync(join(tmpdir(), 'rollout-scripts-'));
  t.after(() => rmSync(directory, { recursive: true }));
  cpSync(new URL('scripts', root), join(directory, 'scripts'), { recursive: true });
  mkdirSync(join(directory, '.logs'));
  writeFileSync(join(directory, '.env'), env);
  /** Runs shell there, with the functions of the scripts; `docker` is the body of a stand-in. */
  const run = (script: string, docker = ':') => {
    const command = `
      set -euo pipefail
      exec 2>&1 3>&1
      for name in progress lock settings ports cuts reloads rollout; do . "scripts/$name.sh"; done
      tidy_later() { :; }
      docker() { ${docker}
      }
      ${script}`;
    const { status, stdout } = spawnSync('bash', ['-c', command], {
      cwd: directory,
      encoding: 'utf8',
      input: '',
      env: { ...process.env, COMPOSE_PROJECT_NAME: '', VERSION: '', ASTERISK_VERSION: '' },
    });
    return { status, output: stdout };
  };
  return { directory, run, env: () => readFileSync(join(directory, '.env'), 'utf8') };
}

/** No file can grow beyond that, as on a full disk: each write fails. KiB. */
const fullDisk = (kib: number) => `trap '' XFSZ; ulimit -f ${kib}; `;

test('a full disk: .env stays as it was, and the caller hears of it', (t) => {
  const text = `ARI_PASSWORD=secret\nBRIDGE_CONTAINERS=\n${'# a comment\n'.repeat(200)}API_TOKEN=abc\n`;
  for (const kib of [0, 1]) {
    const { directory, run, env } = installation(t, text);
    const { output } = run(`${fullDisk(kib)} if write_count 2; then echo written; else echo refused; fi`);
    assert.match(output, /refused\n$/);
    assert.equal(env(), text);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('.env')),
      ['.env'],
    );
  }
});

test('a full disk: a rollout fails before it starts anything, and the old bridge is not told to end', (t) => {
  const { run } = installation(t, `BRIDGE_CONTAINERS=\n${'# a comment\n'.repeat(200)}`);
  const { output } = run(
    `${fullDisk(0)} if roll_out; then echo new; else echo failed; fi`,
    'echo "docker $*" >&3; case "$*" in *"status restarting"*) ;; *"compose ps"*) echo old ;; esac',
  );
  assert.match(output, /failed/);
  assert.doesNotMatch(output, /docker (compose up|update|exec .* QUIT|stop|rm)/);
});

test('an .env without a newline at its end keeps its last setting, and gets the new one', (t) => {
  const { run, env } = installation(t, 'ARI_PASSWORD=secret\nAPI_TOKEN=a|b&c\\d');
  const { output } = run('write_count 2; setting API_TOKEN; echo; setting BRIDGE_CONTAINERS');
  assert.equal(output, 'a|b&c\\d\n2');
  assert.equal(env(), 'ARI_PASSWORD=secret\nAPI_TOKEN=a|b&c\\d\nBRIDGE_CONTAINERS=2\n');
});

test('an .env that is a link stays one, and keeps its mode', (t) => {
  const { directory, run, env } = installation(t, '');
  const file = join(directory, 'elsewhere.env');
  writeFileSync(file, 'A=1\nBRIDGE_CONTAINERS=\n');
  chmodSync(file, 0o640);
  rmSync(join(directory, '.env'));
  symlinkSync('elsewhere.env', join(directory, '.env'));
  assert.equal(run('write_count 2').status, 0);
  assert.equal(env(), 'A=1\nBRIDGE_CONTAINERS=2\n');
  assert.ok(lstatSync(join(directory, '.env')).isSymbolicLink());
  assert.equal(statSync(file).mode & 0o777, 0o640);
});

/** Locks the stack, as another script does: by another open file. */
const OTHER = 'exec 8<.; flock 8; echo "up.sh, process 1" >.logs/lock; ';

/** Who finds the lock taken does not wait. */
function impatient(directory: string) {
  const path = join(directory, 'scripts/lock.sh');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace(/^(LOCK_QUIET_S|LOCK_S)=\d+/gm, '$1=0'));
}

test('a script that finds another one at work names it, and ends; those that it calls have its lock', (t) => {
  const { directory, run } = installation(t, '');
  impatient(directory);
  const own = '. scripts/progress.sh; . scripts/lock.sh; lock_stack; echo inherited';
  const { output } = run(
    `${OTHER} (lock_stack) || echo refused; flock --unlock 8; lock_stack; bash -c '${own}'`,
  );
  assert.match(output, /up\.sh, process 1[\s\S]*refused\ninherited\n$/);
});

test('make down, make reload and make clean change nothing while another script is at work', (t) => {
  const { directory, run } = installation(t, '');
  impatient(directory);
  for (const name of ['down', 'reload', 'clean']) {
    const { output } = run(
      `export -f docker; ${OTHER} bash scripts/${name}.sh || echo refused`,
      'echo "docker $*" >>calls; case "$*" in *"ps "*"--quiet"*) echo 1 ;; esac',
    );
    assert.match(output, /up\.sh, process 1[\s\S]*refused\n$/, name);
    const calls = readFileSync(join(directory, 'calls'), 'utf8');
    assert.doesNotMatch(calls, /docker (compose .*(stop|down|rm|exec)|update|kill|exec|stop|rm)/, name);
  }
});

test('make up and install.sh take the lock before they write a file of the stack', () => {
  const main = (name: string) => {
    const text = readFileSync(new URL(`scripts/${name}`, root), 'utf8');
    return /^main\(\) \{\n([\s\S]*?)^\}/m.exec(text)?.[1] ?? '';
  };
  assert.match(main('up.sh'), /lock_stack\n {2}scripts\/configure\.sh/);
  assert.match(main('install.sh'), /lock_stack "\$directory"; fi\n {2}keep_previous\n {2}copy_files/);
});

test('what tidies up in the background waits for a rollout, whose new container is not running yet', (t) => {
  const { run } = installation(t, '');
  const docker = `echo "docker $*" >>calls
    case "$*" in
      *'--status running'*) echo old ;;
      *'ps --quiet'*) printf 'new\\nold\\n' ;;
      *'{{.State.Status}}'*) echo created ;;
    esac`;
  const { status, output } = run(
    `export -f docker; ${OTHER} touch calls; bash scripts/tidy.sh & sleep 0.5; cat calls; echo released
     flock --unlock 8; wait $!; cat calls`,
    docker,
  );
  assert.equal(status, 0, output);
  assert.match(output, /^released\ndocker compose ps/);
});

test('a clock that was set back between two containers does not change which one is the new one', (t) => {
  const { run } = installation(t, '');
  // As Docker answers for what the scripts may ask: when it was created, and compose's number.
  const docker = `
    case "$*" in
      *'compose ps'*) printf 'old\\nnew\\n' ;;
      *Created*) printf '2026-11-28T12:00:00Z old\\n2026-11-28T11:05:00Z new\\n' ;;
      *container-number*) printf 'False 9 old\\nFalse 10 new\\n' ;;
    esac`;
  assert.equal(run('running_id bridge; bridge_containers --all', docker).output, 'new\nnew\nold\n');
});

test('a container of `docker compose run`, as of a check, is no bridge', (t) => {
  const { run } = installation(t, '');
  // compose counts it among those that run.
  const docker = `
    case "$*" in
      *'compose ps'*) printf 'check\\nold\\n' ;;
      *oneoff*) printf 'True 9 check\\nFalse 1 old\\n' ;;
    esac`;
  assert.equal(run('running_id bridge; bridge_containers --status running', docker).output, 'old\nold\n');
});

test('a clock that is set in the middle neither ends a wait nor makes it longer', (t) => {
  const { run } = installation(t, '');
  const script = `
    ROLLOUT_S=3 ROLLOUT_POLL_S=0.1
    has_calls_app() { echo asked; false; }
    date() { echo $((RANDOM * 100000)); }
    if wait_until_serving new; then echo served; else echo "not served"; fi`;
  const { output } = run(script, 'echo running 0');
  assert.match(output, /^(asked\n){2,}not served\n$/);
});

/**
 * A stand-in for Docker with an old bridge, and a new one once `compose up` was called, which then
 * does this too. Commands are told on file descriptor 3.
 */
const twoBridges = (onUp: string, onStop = ':') => `
    echo "docker $*" >&3
    case "$*" in
      *'compose up'*) touch started; ${onUp} ;;
      'stop '*) ${onStop} ;;
      'rm --force'*) rm started ;;
      *'compose ps --quiet --status restarting'*) ;;
      *'compose ps --quiet'*) echo old; [ ! -e started ] || echo new ;;
      *container-number*) printf 'False 1 old\\nFalse 2 new\\n' ;;
    esac`;

for (const signal of ['INT', 'TERM', 'HUP'])
  test(`SIG${signal} in a rollout: the new bridge goes, the old one stays, the status is 3`, (t) => {
    const { run, env } = installation(t, 'A=1\n');
    const again = `kill -${signal} $$`;
    const docker = twoBridges(`kill -${signal} $$`, again);
    const { status, output } = run('export UNCHANGED_STATUS=3; roll_out 8>&1; echo rolled out', docker);
    assert.equal(status, 3, output);
    assert.match(output, /docker stop --time 60 new\ndocker rm --force new\n/);
    assert.doesNotMatch(output, /docker update|rolled out/);
    assert.match(output, /removing the new bridge/);
    assert.equal(env(), 'A=1\nBRIDGE_CONTAINERS=\n');
  });

test('make up was killed in a rollout: what tidies up after it ends the old bridge, once', (t) => {
  const { run } = installation(t, '');
  const docker = `
    echo "docker $*" >>calls
    case "$*" in
      *'compose ps'*) printf 'old\\nnew\\n' ;;
      *container-number*) printf 'False 1 old\\nFalse 2 new\\n' ;;
      *RestartPolicy*) if grep -q 'restart no old' calls; then echo no; else echo unless-stopped; fi ;;
      *RestartCount*) echo running 0 ;;
      *State.Status*) echo running ;;
      *readyz*) echo '{"problems":[],"warnings":[]}' ;;
    esac`;
  const { status, output } = run(
    `timeout() { shift; "$@"; }
     setsid() { :; }
     export -f docker timeout setsid
     bash scripts/tidy.sh; bash scripts/tidy.sh; grep -E 'docker (update|rm|stop)|QUIT|SETTINGS' calls`,
    docker,
  );
  assert.equal(status, 0, output);
  // The settings of the new one have applied.
  assert.match(
    output,
    /^docker exec new .*rm -f .*before"\ndocker update --restart no old\ndocker exec old .*QUIT\n$/,
  );
});

test('an update that Ctrl-C ends before anything was touched puts the files of before back', (t) => {
  const { directory, run } = installation(t, '');
  const script = `
    . <(sed '$d' scripts/install.sh | sed 's#^cd .*##')
    directory="$PWD"
    previous="$(mktemp -d)"; trap put_back EXIT
    cp -a .env "$previous/"; echo NEW=1 >.env
    FILES=(.env)
    function scripts/up.sh { kill -INT $$; return 3; }
    start`;
  const { status, output } = run(script);
  assert.equal(status, 3, output);
  assert.match(output, /as it was/);
  assert.equal(readFileSync(join(directory, '.env'), 'utf8'), '');
});
