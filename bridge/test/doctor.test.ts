import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';

const repository = new URL('../../', import.meta.url).pathname;
const doctor = join(repository, 'scripts/doctor.sh');

/** What `make doctor` says of an answer of `/readyz`, and how many problems it counts. */
async function saysOf(readyz: object): Promise<string[]> {
  const script = `
    . <(sed '/^main$/d' "$0")
    http_get() { printf '%s' "$READYZ"; }
    check_readiness
    echo "problems $problems"`;
  const environment = { ...process.env, READYZ: JSON.stringify(readyz) };
  const { stdout } = await promisify(execFile)('bash', ['-c', script, doctor], { env: environment });
  return stdout.trimEnd().split('\n');
}

test('make doctor: warnings of /readyz are things to put right, though the bridge is ready', async () => {
  const warnings = ["Asterisk's RTP ports are nearly used up (90 channels of 100)", 'the disk says "full"'];
  const said = await saysOf({ status: 'ready', problems: [], warnings });
  assert.deepEqual(
    said.filter((line) => line.startsWith('  !!  ')),
    warnings.map((warning) => `  !!  ${warning}`),
  );
  assert.equal(said.at(-1), 'problems 2');
});

test('make doctor: a bridge that is ready without warnings is well', async () => {
  assert.deepEqual(await saysOf({ status: 'ready', problems: [], warnings: [] }), [
    '  ok  the bridge is ready: ARI answers',
    'problems 0',
  ]);
});

test('make doctor: a provider that has not taken our registration is named', async () => {
  // What Asterisk 22 prints.
  const table = [
    ' <Registration/ServerURI..............................>  <Auth....................>  <Status.......>',
    '==========================================================================================',
    '',
    ' reg/sip:127.0.0.11:5070                                 reg                         Rejected          (exp. 18s ago)',
    ' my-line/sip:sip.example.net;transport=tcp               my-line                     Registered        (exp. 3200s)',
    ' new_one/sip:127.0.0.13                                  new_one                     Unregistered      ',
    '',
    'Objects found: 3',
  ].join('\n');
  const script = `
    . <(sed '/^main$/d' "$0")
    docker() { printf '%s\\n' "$TABLE"; }
    check_registrations
    echo "problems $problems"`;
  const environment = { ...process.env, TABLE: table };
  const { stdout } = await promisify(execFile)('bash', ['-c', script, doctor], { env: environment });
  const said = stdout.trimEnd().split('\n');
  assert.deepEqual(
    said.filter((line) => !line.startsWith('      -> ')),
    [
      '  !!  reg: not registered (Rejected)',
      '  ok  my-line: registered',
      '  !!  new_one: not registered (Unregistered)',
      'problems 2',
    ],
  );
});

test('make doctor: a registrar whose name has no address is named, instead of the password', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'registrar-'));
  t.after(() => rm(directory, { recursive: true }));
  await mkdir(join(directory, 'asterisk/providers'), { recursive: true });
  await writeFile(join(directory, 'asterisk/providers/one.env'), 'HOST=sip.one.invalid:5070\n');
  await writeFile(join(directory, 'asterisk/providers/two.env'), 'HOST=sip.two.example\n');
  const script = `
    . <(sed '/^main$/d' "$0" | sed 's#^cd .*#cd ${repository}#')
    cd ${directory}
    docker() { printf ' %s \\n' 'one/sip:x one Rejected (exp. 18s ago)' 'two/sip:y two Rejected (exp. 18s ago)'; }
    getent() { [ "$2" = sip.two.example ]; }
    check_registrations`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, doctor]);
  const advice = stdout.split('\n').filter((line) => line.startsWith('      -> '));
  assert.match(advice[0] ?? '', /sip\.one\.invalid has no address/);
  assert.match(advice[1] ?? '', /password/);
});

/** A directory with a fresh lab's files and the `.env` that `make up` writes. */
async function freshLab(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'lab-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const path of ['scripts', '.env.example', 'asterisk/providers/pb_fintech.env'])
    await cp(join(repository, path), join(directory, path), { recursive: true });
  // Sourced, since a sandbox may forbid to run what lies in its /tmp.
  const script = `. <(sed '/^main$/d' "$0"); write_settings`;
  await promisify(execFile)('bash', ['-c', script, join(directory, 'scripts/configure.sh')]);
  return directory;
}

/** What `make doctor` blames in the settings of a lab. */
async function blamedSettings(directory: string): Promise<string[]> {
  const script = `
    . <(sed '/^main$/d' "$0")
    check_settings`;
  const its = join(directory, 'scripts/doctor.sh');
  const { stdout } = await promisify(execFile)('bash', ['-c', script, its]);
  return stdout.split('\n').filter((line) => line.startsWith('  !!  '));
}

test('make doctor: nothing is wrong with the settings of a fresh lab', async (t) => {
  assert.deepEqual(await blamedSettings(await freshLab(t)), []);
});

test('make doctor: settings whose names end in _FILE are known, and only those', async (t) => {
  const lab = await freshLab(t);
  await appendFile(
    join(lab, '.env'),
    'PIPECAT_CA_FILE=/run/secrets/ca.pem\nAPI_TOKEN_FILE=/run/secrets/token\nPIPECAT_CA=/run/secrets/ca.pem\n',
  );
  assert.deepEqual(await blamedSettings(lab), ['  !!  .env sets names that nothing reads: PIPECAT_CA']);
});

test('make doctor: a stop that Docker cuts short, and a profile that compose has not, are named', async (t) => {
  const lab = await freshLab(t);
  // What compose prints of it.
  const docker = `docker() {
    case "$*" in
      *--profiles) echo lab ;;
      *) printf '%s\\n' services: '  asterisk:' '    stop_grace_period: 15s' '  bridge:' '    stop_grace_period: 32m0s' ;;
    esac
  }`;
  const its = join(lab, 'scripts/doctor.sh');
  await writeFile(its, `${docker}\n${await readFile(its, 'utf8')}`);
  assert.deepEqual(await blamedSettings(lab), []);
  await appendFile(join(lab, '.env'), 'STOP_DRAIN_S=1910\nDRAIN_S=1920\nCOMPOSE_PROFILES=lab,labs\n');
  assert.deepEqual(await blamedSettings(lab), [
    '  !!  COMPOSE_PROFILES names what compose.yaml has not: labs',
    '  !!  STOP_DRAIN_S is 1910: Docker kills the bridge 32m0s after SIGTERM, in the middle of calls',
    '  !!  DRAIN_S is 1920: Docker kills an old bridge 32m0s after SIGTERM, with its calls',
  ]);
});

test('make doctor: a container that is paused, or has ended, is named with what to type', async () => {
  const script = `
    . <(sed '/^main$/d' "$0")
    stack_owner() { :; }
    check_readiness() { :; }; check_registrations() { :; }; check_bot() { :; }
    docker() {
      case "$*" in
        *' logs '*) echo 'killed' ;;
        *) printf '%s\\n' 'asterisk Up 5 minutes (Paused)' 'bridge Exited (137) 2 minutes ago' ;;
      esac
    }
    check_stack`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, doctor]);
  assert.match(stdout, /asterisk: Up 5 minutes \(Paused\)\n.*docker compose unpause asterisk/);
  assert.match(stdout, /bridge: Exited \(137\) 2 minutes ago\n.*make up; its last words: killed/);
});
