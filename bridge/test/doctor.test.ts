import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const doctor = new URL('../../scripts/doctor.sh', import.meta.url).pathname;

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
