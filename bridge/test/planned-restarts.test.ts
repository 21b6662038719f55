// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the shell's
/**
 * What `make up` restarts, asks and waits for: scripts/up.sh and scripts/cuts.sh, with stand-ins
 * for Docker.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);

type World = Readonly<Record<string, string>>;

/**
 * A stack that runs as it was started, with one call. A command that has the text on the left does
 * what is on the right; `service` is the last word of it.
 */
const RUNNING: World = {
  'compose ps --quiet --status running': 'echo "id-of-$service"',
  '{{.Image}}': 'echo sha256:1',
  'image inspect': 'echo sha256:1',
  'com.docker.compose.config-hash': 'echo 1234',
  'config --hash': 'echo "$service 1234"',
  'cat /run/asterisk/etc/restart-digest': 'echo abcd',
  'cat /run/asterisk/etc/digest': 'echo 3333',
  'core show channels concise': "printf 'PJSIP/acme-1!from\\nUnicastRTP/1!\\n'",
  '/livez': `echo '{"status":"live","configuration":"1111","restart":"abcd"}'`,
  '/metrics': 'echo pipecat_bridge_calls_active 1',
};

/** Runs a script with the functions of up.sh; `world` overrides {@link RUNNING}. */
function run(script: string, world: World = {}) {
  const answers = Object.entries({ ...RUNNING, ...world }).map(
    ([text, does]) => `[[ "$*" != *'${text}'* ]] || { ${does}; return; }`,
  );
  const command = `
    set -euo pipefail
    . <(sed '$d' scripts/up.sh | sed 's#^cd .*##')
    answer() {
      local service="\${@: -1}"
      ${answers.join('\n      ')}
    }
    exec 3>&2
    docker() { echo "docker $*" >&3; answer "$@"; }
    timeout() { shift; "$@"; }
    http_get() { answer "$3"; }
    digests=([asterisk]=abcd [bridge]=abcd)
    DRAIN_POLL_S=0
    ${script}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: root,
    encoding: 'utf8',
    input: '',
    env: { ...process.env, DRAIN: '', NOW: '', DRAIN_S: '', VERSION: '', ASTERISK_VERSION: '' },
  });
  const lines = stderr.split('\n');
  return {
    status,
    said: stdout + lines.filter((line) => !line.startsWith('docker ')).join('\n'),
    calls: lines.filter((line) => line.startsWith('docker ')),
  };
}

/** The services that restart in this world, the first to stop first. */
function restarts(world: World): string {
  const { status, said } = run('find_restarts; echo "restarts ${restarts[*]}"', world);
  assert.equal(status, 0, said);
  return /restarts (.*)/.exec(said)?.[1] ?? '';
}

const ofService = (service: string, does: string, other: string) =>
  `if [[ "$*" == *${service}* ]]; then ${does}; else ${other}; fi`;

test('nothing has changed: nothing restarts', () => {
  assert.equal(restarts({}), '');
});

test('another image, other settings, or other files restart the service that has them, and no other', () => {
  assert.equal(
    restarts({ 'image inspect': ofService('asterisk', 'echo sha256:2', 'echo sha256:1') }),
    'asterisk',
  );
  assert.equal(
    restarts({ 'config --hash': ofService('bridge', 'echo bridge 5', 'echo asterisk 1234') }),
    'bridge',
  );
  assert.equal(restarts({ 'cat /run/asterisk/etc/restart-digest': 'echo ef01' }), 'asterisk');
  const other = `echo '{"status":"live","configuration":"1111","restart":"ef01"}'`;
  assert.equal(restarts({ '/livez': other }), 'bridge');
});

/** The digest of all changes with the second question, as after a reload. */
const TAKEN =
  'n=$(cat "$asked"); echo $((n + 1)) >"$asked"; [ "$n" -ge 2 ] && digest=2222 || digest=1111; ' +
  `echo "{\\"configuration\\":\\"$digest\\",\\"restart\\":\\"abcd\\"}"`;
const RELOAD =
  'RELOAD_POLL_S=0; asked="$(mktemp)"; echo 0 >"$asked"; configurations=([bridge]=2222 [asterisk]=3333); ' +
  'needs_reload || echo nothing; reload_stack || echo refused; rm "$asked"';

test('what applies on reload restarts nothing: the bridge is told, and waited for', () => {
  assert.equal(restarts({ '/livez': TAKEN.replaceAll('2222', '1111') }), '');
  const { said, calls } = run(RELOAD, { '/livez': TAKEN });
  assert.equal(said, '');
  assert.deepEqual(
    calls.filter((call) => call.includes('kill')),
    ['docker exec id-of-bridge bash -c kill -s "$0" 1 HUP'],
  );
});

test('a reload that the bridge refuses is told in its own words', () => {
  const line = JSON.stringify({
    level: 'error',
    error: '2 problem(s):\n  a.env: X',
    msg: 'reload refused, so',
  });
  const { said } = run(RELOAD, {
    '/livez': TAKEN.replaceAll('2222', '1111'),
    'compose logs': `cat <<'END'\n${line}\nEND\n:`,
  });
  assert.equal(said, 'refused\n2 problem(s):\n  a.env: X\n');
});

test('the bridge stops first where both restart', () => {
  assert.equal(restarts({ 'image inspect': 'echo sha256:2' }), 'bridge asterisk');
});

test('what does not run has nothing to lose, and one that says no digest is judged by image and settings', () => {
  assert.equal(
    restarts({ 'compose ps --quiet --status running': ':', 'image inspect': 'echo sha256:2' }),
    '',
  );
  assert.equal(restarts({ '/livez': `echo '{"status":"live"}'`, 'cat /run/asterisk/etc': 'return 1' }), '');
});

test('calls in progress: without a terminal nothing is stopped, and the exit status tells that', () => {
  for (const service of ['asterisk', 'bridge']) {
    const { status, said, calls } = run(`agree_to_cut "" ${service}`);
    assert.equal(status, 3, said);
    assert.match(said, /cut 1 call[\s\S]*nothing was stopped[\s\S]*DRAIN=1[\s\S]*NOW=1/);
    assert.ok(!calls.some((call) => / (stop|rm|up) /.test(call)), calls.join('\n'));
  }
});

test('a service that does not say how many calls it has is not stopped without a word either', () => {
  const { status, said } = run('agree_to_cut "" bridge', { '/metrics': 'return 1' });
  assert.equal(status, 3);
  assert.match(said, /not known/);
});

test('no calls, or NOW=1: it goes on', () => {
  assert.equal(run('agree_to_cut "" bridge', { '/metrics': 'echo pipecat_bridge_calls_active 0' }).status, 0);
  assert.equal(
    run('agree_to_cut "" asterisk', { 'core show channels concise': 'echo UnicastRTP/1!' }).status,
    0,
  );
  assert.equal(run('read_flags --now; agree_to_cut "$how" asterisk').status, 0);
});

/** What the gate's variable is set to, in order. */
const gateOf = (calls: readonly string[]) =>
  calls.flatMap((call) => /dialplan set global PIPECAT_GATE_pipecat (.+)$/.exec(call)?.[1] ?? []);

const TWO_POLLS = 'n=$(cat "$polls"); echo $((n + 1)) >"$polls"; [ "$n" -ge 2 ] || echo PJSIP/acme-1!from';

const DRAINED =
  'polls="$(mktemp)"; echo 0 >"$polls"; read_flags --drain; agree_to_cut "$how" asterisk; rm "$polls"';

test('DRAIN=1 turns new calls away, and goes on when the last call has ended', () => {
  const { status, said, calls } = run(DRAINED, {
    'core show channels concise': TWO_POLLS,
    '/livez': 'return 1',
  });
  assert.equal(status, 0, said);
  assert.match(said, /waiting/);
  assert.ok(gateOf(calls).length >= 2 && !gateOf(calls).includes('""'), gateOf(calls).join());
});

test('a bridge that answers closes the gate itself, and nobody else writes it', () => {
  const { calls } = run(DRAINED, { 'core show channels concise': TWO_POLLS });
  assert.deepEqual(gateOf(calls), []);
  assert.ok(calls.filter((call) => call.endsWith(' 1 USR2')).length >= 2, calls.join('\n'));
});

test('calls that outlast DRAIN_S: nothing is stopped and new calls are taken again; with NOW=1 too they are cut', () => {
  const { status, said, calls } = run('DRAIN_S=0; read_flags --drain; agree_to_cut "$how" asterisk', {
    '/livez': 'return 1',
  });
  assert.equal(status, 3, said);
  assert.match(said, /nothing was stopped/);
  assert.match(gateOf(calls)[0] ?? '', /^"\d{10} stopping"$/);
  assert.equal(gateOf(calls).at(-1), '""');
  assert.equal(run('DRAIN_S=0; read_flags --drain --now; agree_to_cut "$how" asterisk').status, 0);
});

test('Asterisk restarts: the bridge is stopped before it, so that records say who ended the calls', () => {
  const { calls } = run('restarts=(asterisk); stop_what_restarts');
  const stops = calls.filter((call) => / (stop|rm|kill) /.test(call));
  assert.deepEqual(stops, [
    'docker compose stop --timeout 180 bridge',
    'docker compose rm --stop --force asterisk',
  ]);
});

test('calls that are to be cut end at once: a second signal does not wait for them', () => {
  const { calls } = run(
    'restarts=(bridge); HURRY_S=0; read_flags --now; agree_to_cut "$how" bridge; stop_what_restarts',
  );
  assert.deepEqual(
    calls.filter((call) => / (stop|rm|kill) /.test(call)),
    [
      'docker kill --signal SIGTERM id-of-bridge',
      'docker kill --signal SIGTERM id-of-bridge',
      'docker compose stop --timeout 180 bridge',
      'docker compose rm --stop --force bridge',
    ],
  );
});

test('compose itself stops the bridge before Asterisk, since the one depends on the other', () => {
  const { stdout } = spawnSync('sed', ['-n', '/^  bridge:/,/^  [a-z]/p', 'compose.yaml'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.match(stdout, /depends_on:\n\s+asterisk:/);
});

/** A bridge that can hand over, and a new one beside it after `compose up`. */
const TWO: World = {
  'compose ps --quiet --status running': 'echo old; [ ! -e "$started" ] || echo new',
  'compose ps --quiet --all': 'echo old; [ ! -e "$started" ] || echo new',
  'container-number"}} {{.Id}}': "printf 'False 9 old\\nFalse 10 new\\n'",
  'compose up': 'touch "$started"',
  '/livez': `echo '{"app":"5555","restart":"abcd"}'`,
  '/readyz': `echo '{"status":"ready","problems":[],"warnings":[]}'`,
  '{{.State.Status}} {{.RestartCount}}': 'echo running 0',
  '{{.HostConfig.RestartPolicy.Name}}': 'echo unless-stopped',
};
/** As `make up` does it, in a folder without settings. */
const BESIDE =
  'cd "$(mktemp -d)"; started="$(mktemp -u)"; restarts=(bridge); bridge_app=5555; counts=""; ROLLOUT_POLL_S=0; ' +
  'write_count() { counts="$counts $1"; }; store_settings() { :; }; tidy_later() { :; }; ' +
  'restart_beside && echo beside || echo not; echo "counts$counts, restarts ${restarts[*]}"';
const acts = (calls: readonly string[]) => calls.filter((call) => / (stop|rm|up|update|kill) /.test(call));

test('only the bridge has to restart: a new one takes the calls beside it, and nobody is asked', () => {
  const { said, calls } = run(BESIDE, TWO);
  assert.match(said, /beside\ncounts 2, restarts \n$/);
  assert.deepEqual(acts(calls), [
    'docker compose up --detach --no-build --no-recreate bridge',
    'docker update --restart no old',
    'docker exec old bash -c kill -s "$0" 1 QUIT',
  ]);
});

test('a new bridge that does not take the calls is removed, and the old one is left as it was', () => {
  for (const fault of ['{{.State.Status}} {{.RestartCount}}', '/readyz']) {
    const { status, said, calls } = run(`ROLLOUT_S=0; ${BESIDE}`, {
      ...TWO,
      '/readyz': 'return 1',
      [fault]: 'echo restarting 3',
    });
    assert.equal(status, 3);
    assert.match(said, /the old one goes on as it was/);
    assert.deepEqual(acts(calls), [
      'docker compose up --detach --no-build --no-recreate bridge',
      'docker stop --time 0 new',
      'docker rm --force new',
    ]);
  }
});

/** Both run, with the settings of the files: the rollout was killed before the old one was told. */
const LEFT =
  'started="$(mktemp)"; ROLLOUT_POLL_S=0; ROLLOUT_S=0; tidy_later() { :; }; find_restarts; echo "restarts ${restarts[*]}"';

test('an old bridge that a killed rollout has left is told to end by the next make up, and nothing restarts', () => {
  const { said, calls } = run(LEFT, TWO);
  assert.match(said, /restarts \n$/);
  assert.deepEqual(acts(calls), [
    'docker update --restart no old',
    'docker exec old bash -c kill -s "$0" 1 QUIT',
  ]);
  const told = run(LEFT, { ...TWO, '{{.HostConfig.RestartPolicy.Name}}': 'echo no' });
  assert.deepEqual(acts(told.calls), []);
});

test('the newest bridge of a killed rollout does not take the calls: the bridge has to restart', () => {
  const { said, calls } = run(LEFT, { ...TWO, '/readyz': 'return 1' });
  assert.match(said, /does not take the new calls\nrestarts bridge\n$/);
  assert.deepEqual(acts(calls), []);
  const asterisk = run(LEFT, { ...TWO, '/readyz': 'return 1', 'core show version': 'return 1' });
  assert.match(asterisk.said, /restarts \n$/);
});

test('a new bridge that starts again and again is removed before another one is started', () => {
  const { said, calls } = run(BESIDE, { ...TWO, 'compose ps --quiet --status restarting': 'echo broken' });
  assert.match(said, /beside\ncounts 2, restarts \n$/);
  assert.deepEqual(acts(calls).slice(0, 2), [
    'docker rm --force broken',
    'docker compose up --detach --no-build --no-recreate bridge',
  ]);
});

test('Ctrl-C in a rollout or in a wait for calls: what runs was not touched, and the status tells that', () => {
  const ctrlC = { 'compose up': 'touch "$started"; kill -INT $$' };
  const { status, calls } = run(BESIDE, { ...TWO, ...ctrlC });
  assert.equal(status, 3);
  assert.deepEqual(acts(calls).slice(1), ['docker stop --time 60 new', 'docker rm --force new']);
  const waiting = run(
    'asked="$(mktemp -u)"; on_interrupt; read_flags --drain; agree_to_cut "$how" asterisk',
    {
      'core show channels concise':
        '[ ! -e "$asked" ] || kill -INT $$; touch "$asked"; echo PJSIP/acme-1!from',
    },
  );
  assert.equal(waiting.status, 3, waiting.said);
});

test('make down NOW=1: a bridge that has ended by itself by then does not stop it', () => {
  const { status, calls } = run('cuts_now=yes; HURRY_S=0; stop_bridge', {
    'kill --signal SIGTERM': 'return 1',
  });
  assert.equal(status, 0);
  assert.equal(acts(calls).at(-1), 'docker compose stop --timeout 180 bridge');
});

test('a bridge of a version that cannot hand over, another Asterisk, or both restart: it asks as before', () => {
  for (const app of ['', '"app":"6666",']) {
    const { said, calls } = run(BESIDE, { ...TWO, '/livez': `echo '{${app}"restart":"abcd"}'` });
    assert.match(said, /not\ncounts, restarts bridge\n$/);
    assert.deepEqual(acts(calls), []);
  }
  const both = BESIDE.replace('restarts=(bridge)', 'restarts=(bridge asterisk)');
  assert.match(run(both, TWO).said, /not\ncounts, restarts bridge asterisk\n$/);
});
