// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the shell's
/**
 * What `make up` restarts, asks and waits for: scripts/up.sh and scripts/cuts.sh, with stand-ins
 * for Docker.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { root, run, type World } from './scripts-world.ts';

/** The services that restart in this world, the first to stop first. */
function restarts(world: World): string {
  const { status, said } = run('find_restarts; echo "restarts ${restarts[*]}"', world);
  assert.equal(status, 0, said);
  return /restarts (.*)/.exec(said)?.[1] ?? '';
}

/** What is done to containers, but to the file of settings. */
const acts = (calls: readonly string[]) =>
  calls.filter((call) => / (stop|rm|up|update|kill) /.test(call) && !call.includes('SETTINGS_FILE'));

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

/** The digest of all is the one of the files after the signal. */
const TAKEN =
  '[ -e "$signalled" ] && digest=2222 || digest=1111; ' +
  `echo "{\\"configuration\\":\\"$digest\\",\\"restart\\":\\"abcd\\"}"`;
/** What the bridge says of its reloads: before the signal, and after it. */
const reports = (after: string) =>
  `if [ -e "$signalled" ]; then printf '${after}'; else printf 'asked 4 done 4 refused\\nlong ago\\n'; fi`;
const APPLIED = reports('asked 5 done 5 applied\\nbridge: MAX_CALLS\\nAsterisk: acme new\\n');
const REPORT = '/run/pipecat-bridge/reload';
/** A bridge that takes what its files say. It answers nothing but what the world says. */
const TAKES: World = { ' 1 HUP': ': >"$signalled"', [REPORT]: APPLIED, '/livez': TAKEN };
const prepared = (script: string) =>
  `RELOAD_POLL_S=0.05; RELOAD_S=1; signalled="$(mktemp -u)"; trap 'rm -f "$signalled"' EXIT; configurations=([bridge]=2222 [asterisk]=3333); ${script}`;
const RELOAD = prepared('needs_reload || echo nothing; reload_stack || echo refused');
const IF_NEEDED = prepared('reload_if_needed; echo went on');
/** Puts back the settings that applied before. */
const RESTORES = /mv "\$SETTINGS_FILE\.before" "\$SETTINGS_FILE"/;
const signals = (calls: readonly string[]) => calls.filter((call) => call.endsWith(' 1 HUP'));

test('what applies on reload restarts nothing: the bridge is told, and its answer is told', () => {
  assert.equal(restarts({ '/livez': TAKEN.replaceAll('2222', '1111') }), '');
  const { said, calls } = run(RELOAD, TAKES);
  assert.equal(said, 'bridge: MAX_CALLS\nAsterisk: acme new\n');
  assert.deepEqual(signals(calls), ['docker exec id-of-bridge bash -c kill -s "$0" 1 HUP']);
});

test('a reload that has succeeded does so whatever the bridge logs', () => {
  const { status, said, calls } = run(IF_NEEDED, { ...TAKES, 'compose logs': 'return 1' });
  assert.equal(status, 0, said);
  assert.match(said, /applied without a restart[\s\S]* {7}Asterisk: acme new\nwent on\n$/);
  assert.ok(!calls.some((call) => call.includes(' logs ')), calls.join('\n'));
});

test('a reload that the bridge refuses is told in its own words', () => {
  const world = { ...TAKES, [REPORT]: reports('asked 5 done 5 refused\\n2 problem(s):\\n  a.env: X\\n') };
  assert.equal(run(RELOAD, world).said, '2 problem(s):\n  a.env: X\nrefused\n');
  const { status, said, calls } = run(IF_NEEDED, world);
  assert.equal(status, 3);
  assert.match(said, /a\.env: X[\s\S]*the reload was refused/);
  assert.ok(
    calls.some((call) => RESTORES.test(call) && call.startsWith('docker exec id-of-bridge ')),
    'a crash would start the bridge with what was refused',
  );
});

test('the answer to another reload, which was under way, is not taken for ours', () => {
  const { said } = run(RELOAD, { ...TAKES, [REPORT]: reports('asked 6 done 5 refused\\nan older one\\n') });
  assert.match(said, /did not say within 1 s[\s\S]*refused/);
  assert.doesNotMatch(said, /an older one/);
});

test('a service that does not answer any more after the reload has not applied it', () => {
  const once = `[ ! -e "$signalled" ] || return 1; ${TAKEN}`;
  assert.match(run(RELOAD, { ...TAKES, '/livez': once }).said, /bridge does not run with what its files say/);
  const asterisk = { 'cat /run/asterisk/etc/digest': '[ ! -e "$signalled" ] || return 1; echo 3333' };
  assert.match(run(RELOAD, { ...TAKES, ...asterisk }).said, /asterisk does not run with what its files say/);
});

test('what needs a restart of the bridge does not make a reload fail', () => {
  const { said } = run(`digests=([asterisk]=abcd [bridge]=ef01); ${RELOAD}`, {
    ...TAKES,
    '/livez': TAKEN.replaceAll('2222', '1111'),
  });
  assert.equal(said, 'bridge: MAX_CALLS\nAsterisk: acme new\n');
});

/** An old bridge that has calls, beside the new one. */
const BOTH: World = {
  'compose ps --quiet --status running':
    'if [ $service = bridge ]; then echo old; echo new; else echo id-of-asterisk; fi',
  'container-number"}} {{.Id}}': "printf 'False 1 old\\nFalse 2 new\\n'",
};

test('of two bridges both take a reload; the new one is the one that is checked, and that says what was applied', () => {
  const { said, calls } = run(RELOAD, { ...TAKES, ...BOTH });
  assert.equal(said, 'bridge: MAX_CALLS\nAsterisk: acme new\n');
  assert.deepEqual(signals(calls), [
    'docker exec new bash -c kill -s "$0" 1 HUP',
    'docker exec old bash -c kill -s "$0" 1 HUP',
  ]);
  const refusing = `if [[ "$*" == *' old '* ]]; then ${reports('asked 5 done 5 refused\\nwhy\\n')}; else ${APPLIED}; fi`;
  assert.match(run(RELOAD, { ...TAKES, ...BOTH, [REPORT]: refusing }).said, /note: an old bridge .*: why\n$/);
  const source = `. <(sed -n '/^in_running()/,/^}/p' scripts/reload.sh); bridge_settings() { echo {}; }; `;
  const checked = run(`${source} in_running bridge nice node src/main.ts --check -`, BOTH).calls;
  assert.ok(checked.includes('docker exec --interactive new nice node src/main.ts --check -'));
});

test('an old bridge that ends with its calls in a reload is neither waited for nor told of', () => {
  const ended: World = {
    ...BOTH,
    'compose ps --quiet --status running':
      'if [ $service = bridge ]; then [ -e "$signalled" ] || echo old; echo new; else echo id-of-asterisk; fi',
    [REPORT]: `if [[ "$*" == *' old '* && -e "$signalled" ]]; then return 1; else ${APPLIED}; fi`,
  };
  const { said } = run(`${RELOAD}`.replace('RELOAD_S=1;', 'RELOAD_S=60;'), { ...TAKES, ...ended });
  assert.equal(said, 'bridge: MAX_CALLS\nAsterisk: acme new\n');
});

test('a setting is named as changed where it is, whatever signs are in it', () => {
  const value = `a&b<c>\\"d\\\\e$$f`.replace('&', '\\u0026').replace('<', '\\u003c').replace('>', '\\u003e');
  const config = `cat <<'END'
    "bridge": {
      "environment": {
        "ARI_URL": "http://new",
        "TZ": "${value}"
      }
    }
END
:`;
  const source = `. <(sed -n -e '/^planned_environment()/,/^}/p' -e '/^changed_settings()/,/^}/p' scripts/reload.sh); `;
  const { said } = run(`${source} changed_settings bridge`, {
    'config --format json': config,
    '{{range .Config.Env}}': `cat <<'END'
ARI_URL=http://old
TZ=a&b<c>"d\\e$f
END
:`,
  });
  assert.equal(said, 'ARI_URL\n');
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
    assert.ok(
      calls.some((call) => RESTORES.test(call) && call.startsWith('docker exec old ')),
      'its settings too',
    );
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
