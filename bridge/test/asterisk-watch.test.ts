// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the shell's
/**
 * asterisk/watch: an Asterisk that cannot be reached ends, and providers' names are looked up
 * again.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;

/** Runs a script with the functions of `watch`. Its clock is `SECONDS`, which the script sets. */
function run(script: string): string {
  const command = `
    . <(sed -e '$d' -e 's/^readonly here=.*//' "$0")
    say() { echo "said: $*"; }
    touch() { :; }
    ${script}`;
  const { stdout, stderr } = spawnSync('bash', ['-c', command, join(asterisk, 'watch')], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return stdout;
}

/**
 * Looks at these times (s) with these results of the health check, and tells when and why it ends
 * Asterisk.
 */
function ends(looks: readonly (readonly [atS: number, status: number])[], calls = false): string {
  const lines = looks.map(
    ([atS, status]) =>
      `SECONDS=${atS}; look ${status} 'SIP has no udp port 5060'; [[ -z $why ]] || echo "${atS}: $why"`,
  );
  return run(`has_calls() { ${calls}; }; ${lines.join('\n')}`).trim();
}

test('no SIP port for 20 s: Asterisk ends, and the log says which port', () => {
  assert.equal(
    ends([
      [5, 2],
      [20, 2],
      [24, 2],
    ]),
    '',
  );
  assert.equal(
    ends([
      [5, 2],
      [15, 2],
      [25, 2],
    ]),
    '25: SIP has no udp port 5060',
  );
});

test('a port that came back in between starts the time anew', () => {
  assert.equal(
    ends([
      [5, 2],
      [15, 0],
      [20, 2],
      [30, 2],
    ]),
    '',
  );
});

test('as long as there are calls, no missing port ends them', () => {
  assert.equal(
    ends(
      [
        [5, 2],
        [600, 2],
      ],
      true,
    ),
    '',
  );
});

test('no answer of ARI: a stall of two minutes is waited for, one of three is not', () => {
  assert.equal(
    ends(
      [
        [5, 1],
        [65, 1],
        [125, 1],
      ],
      true,
    ),
    '',
  );
  assert.match(
    ends(
      [
        [5, 1],
        [65, 1],
        [185, 1],
      ],
      true,
    ),
    /^185: ARI does not answer/,
  );
});

/** What Asterisk knows of two providers. */
const KNOWN =
  'Identify: acme/acme\n Match: 192.0.2.1/32\n Match: 192.0.2.2/32\n\n Identify: trunk/trunk\n Match: 192.0.2.9/32\n';

/** Looks names up once; `dns` says what each name resolves to. */
function lookUp(t: TestContext, known: string, dns: Readonly<Record<string, string>>, more = ''): string {
  const directory = mkdtempSync(join(tmpdir(), 'watch-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'names'), 'acme acme.example\ntrunk trunk.example\n');
  writeFileSync(join(directory, 'known'), known);
  const cases = Object.entries(dns).map(([name, list]) => `${name}) printf '%s\\n' ${list} ;;`);
  return run(`
    names='${join(directory, 'names')}' lock='${join(directory, 'lock')}'
    cli() { if [[ $1 == 'pjsip show identifies' ]]; then cat '${join(directory, 'known')}'; else echo reload >>'${join(directory, 'done')}'; fi; }
    addresses_of() { case $1 in ${cases.join(' ')} esac; }
    look_up_names
    ${more}
    [[ ! -e '${join(directory, 'done')}' ]] || cat '${join(directory, 'done')}'`);
}

const DNS = { 'acme.example': '192.0.2.1 192.0.2.2', 'trunk.example': '192.0.2.9' };

test('names with the addresses that Asterisk has: nothing is done', (t) => {
  assert.equal(lookUp(t, KNOWN, DNS), '');
  assert.equal(lookUp(t, KNOWN, { ...DNS, 'acme.example': '192.0.2.2' }), '', 'fewer of them');
});

test('a name that could not be resolved at the start is told, once; when it can be, it is loaded', (t) => {
  const without = KNOWN.slice(KNOWN.indexOf('Identify: trunk'));
  const again = 'SECONDS=100; look_up_names';
  assert.match(
    lookUp(t, without, { 'trunk.example': '192.0.2.9' }, again),
    /^said: cannot be resolved yet.*acme.example\n$/,
  );
  assert.match(lookUp(t, without, DNS), /loading the addresses.*acme.example[\s\S]*reload/);
});

test('other addresses are loaded, but not more often than every ten minutes', (t) => {
  const moved = { ...DNS, 'trunk.example': '192.0.2.10' };
  assert.match(lookUp(t, KNOWN, moved), /loading the addresses.*trunk.example\nreload\n$/);
  assert.equal(lookUp(t, KNOWN, moved, 'SECONDS=100; look_up_names').match(/^reload$/gm)?.length, 1);
  assert.equal(lookUp(t, KNOWN, moved, 'SECONDS=700; look_up_names').match(/^reload$/gm)?.length, 2);
});

test('nothing is loaded while a reload runs: Asterisk would refuse one of the two', (t) => {
  const moved = { ...DNS, 'trunk.example': '192.0.2.10' };
  const held = 'SECONDS=700; exec 9>"$lock"; flock 9; look_up_names';
  assert.equal(lookUp(t, KNOWN, moved, held).match(/^reload$/gm)?.length, 1);
});

test('nothing is loaded while the name of another provider cannot be resolved: it would be forgotten', (t) => {
  assert.equal(lookUp(t, KNOWN, { 'trunk.example': '192.0.2.10' }), '');
});

test('the health check takes no other program’s socket for Asterisk’s', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'health-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const line = (user: number, state: string) =>
    `  1: 0100007F:13C4 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  ${user}        0 1 2 0 0`;
  const says = (table: string): string => {
    writeFileSync(join(directory, 'udp'), `head\n${table}\n`);
    const script = join(directory, 'check');
    writeFileSync(
      script,
      `sockets=('udp 0100007F:13C4')
      . <(sed -n -e '/^declare/p' -e '/^for socket/,/^done/p' '${asterisk}/healthcheck' | sed "s#/proc/net/#${directory}/#")
      echo fine`,
    );
    chmodSync(script, 0o700);
    return spawnSync('bash', [script], { encoding: 'utf8' }).stdout.trim();
  };
  const own = process.getuid?.() ?? 0;
  assert.equal(says(line(own, '07')), 'fine');
  assert.equal(says(line(own + 1, '07')), 'SIP has no udp port 5060');
  assert.equal(says(line(own, '01')), 'SIP has no udp port 5060', 'a socket that sends to somebody');
  assert.equal(says(''), 'SIP has no udp port 5060');
});
