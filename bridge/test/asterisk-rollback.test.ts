// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the shell's
/**
 * What asterisk/reloading.sh leaves where Asterisk does not take the files, or where the reload
 * ends half-way: the sections that ran, and no digest that is that of any files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;
/** Exit codes of a reload. */
const NOT_NOW = 75;
const FAULT = 78;

const RELOADED = `echo "Module 'x' reloaded successfully."`;

/** An Asterisk that runs with one provider, acme, and a reload of other files. */
class World {
  readonly #state: string;

  constructor(t: TestContext) {
    this.#state = mkdtempSync(join(tmpdir(), 'asterisk-rollback-'));
    t.after(() => rmSync(this.#state, { recursive: true, force: true }));
    mkdirSync(join(this.#state, 'etc/providers'), { recursive: true });
    mkdirSync(join(this.#state, 'files'));
    this.write('files/acme.env', 'old');
    this.write('etc/providers/acme.conf', 'old');
    this.write('etc/names', '');
    this.write('etc/environment', '');
    const { status, said } = this.run('keep_what_runs');
    assert.equal(status, 0, said);
  }

  path(name: string): string {
    return join(this.#state, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8').trim();
  }

  /** Commands of Asterisk's console so far. */
  get asked(): string[] {
    return existsSync(this.path('asked')) ? this.read('asked').split('\n') : [];
  }

  /**
   * Runs a script with the functions. `cli`, shell, stands in for a reload of a module by
   * Asterisk.
   */
  run(script: string, cli = RELOADED) {
    const command = `
      set -euo pipefail
      state=$1 config=$1/etc providers=$1/files operators=$1/files
      declare -A value=() contact_ports=()
      source "$2/reloading.sh"
      source <(sed -n '/^provider_files()/,/^}/p' "$2/providers.sh")
      source <(sed -n '/^dialplan_text()/,/^}/p' "$2/entrypoint")
      load_tries=3 lock_s=0
      setting_lines() { echo same; }
      configuration_digest() { cat "$providers"/* | sha256sum | cut -c -32; }
      is_asked() { true; }
      sleep() { :; }
      render_next() {
        local file
        mkdir -p "$state/next/etc/providers"
        : >"$state/next/etc/names"
        for file in "$providers"/*.env; do cp "$file" "$state/next/etc/providers/$(basename "$file" .env).conf"; done
      }
      cli() {
        local file asked
        if [[ $1 == *'show endpoints' ]]; then
          for file in "$config"/providers/*.conf; do echo " Endpoint:  $(basename "$file" .conf)/x   Not in use"; done
          return
        fi
        echo "$1" >>"$state/asked"
        asked=$(wc -l <"$state/asked")
        ${cli}
      }
      ${script}`;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', command, 'reload', this.#state, asterisk], {
      encoding: 'utf8',
    });
    return { status, said: stdout + stderr };
  }

  /** Reloads what is in `files`. */
  reload(cli = RELOADED) {
    return this.run('begin_reload; apply_reload ""', cli);
  }
}

const MODULES = ['res_pjsip', 'res_pjsip_endpoint_identifier_ip', 'res_pjsip_outbound_registration'];
const ALL = MODULES.map((module) => `module reload ${module}.so`);

test('Asterisk takes the files: sections, digest and generation are the new ones', (t) => {
  const world = new World(t);
  const before = world.read('etc/digest');
  world.write('files/acme.env', 'new');
  assert.deepEqual(world.reload(), { status: 0, said: 'applied: acme changed\n' });
  assert.equal(world.read('etc/providers/acme.conf'), 'new');
  assert.notEqual(world.read('etc/digest'), before);
  assert.deepEqual(world.asked, ALL);
  assert.deepEqual(world.reload(), { status: 0, said: 'nothing has changed\n' });
});

for (const [what, cli, why] of [
  ['does not answer', `((asked != 2)) || return 124; ${RELOADED}`, /it does not answer/],
  [
    'reports a failure',
    `((asked != 3)) || { echo "The module 'x' reported a reload failure"; return; }; ${RELOADED}`,
    /did not reload res_pjsip_outbound_registration: .*reload failure/,
  ],
  [
    'reloads something else for long',
    `((asked > 3)) || { echo 'A module reload request is already in progress; please be patient'; return; }; ${RELOADED}`,
    /did not reload res_pjsip: .*already in progress/,
  ],
] as const)
  test(`an Asterisk that ${what}: the sections that ran come back, and a later reload loads all`, (t) => {
    const world = new World(t);
    const digest = world.read('etc/digest');
    const generation = world.read('etc/generation');
    world.write('files/acme.env', 'new');
    world.write('files/trunk.env', 'trunk');
    const { status, said } = world.reload(cli);
    assert.equal(status, NOT_NOW, said);
    assert.match(said, why);
    assert.equal(world.read('etc/providers/acme.conf'), 'old');
    assert.equal(existsSync(world.path('etc/providers/trunk.conf')), false);
    assert.equal(world.read('etc/generation'), generation);
    // The operator takes the change back: Asterisk may have a part of it.
    world.write('files/acme.env', 'old');
    rmSync(world.path('files/trunk.env'));
    assert.notEqual(world.read('etc/digest'), digest);
    const before = world.asked.length;
    assert.equal(world.reload().status, 0);
    assert.deepEqual(world.asked.slice(before), ALL);
    assert.equal(world.read('etc/digest'), digest);
  });

test('an Asterisk that reloads something else for a moment is asked again', (t) => {
  const world = new World(t);
  world.write('files/acme.env', 'new');
  const busy = `((asked > 1)) || { echo 'A module reload request is already in progress'; return; }; ${RELOADED}`;
  assert.equal(world.reload(busy).said, 'applied: acme changed\n');
});

test('an Asterisk that takes nothing any more: the bridge sees that it goes by no files, and tries again', (t) => {
  const world = new World(t);
  world.write('files/acme.env', 'new');
  const { status, said } = world.reload('return 124');
  assert.equal(status, NOT_NOW);
  assert.match(said, /nor what ran before/);
  assert.equal(world.read('etc/generation'), 'changing');
  assert.equal(world.reload().status, 0);
  assert.equal(world.read('etc/providers/acme.conf'), 'new');
});

test('a dialplan that Asterisk does not load takes the sections back too, and is loaded next time', (t) => {
  const world = new World(t);
  world.write('files/acme.env', 'new');
  world.write('files/ours.conf', '[ours]\n');
  const cli = `[[ $1 != *pbx_config* ]] || { echo 'reported a reload failure'; return; }; ${RELOADED}`;
  assert.equal(world.reload(cli).status, NOT_NOW);
  assert.equal(world.read('etc/providers/acme.conf'), 'old');
  const before = world.asked.length;
  assert.equal(world.reload().said, 'applied: acme changed, dialplan\n');
  assert.deepEqual(world.asked.slice(before), [...ALL, 'module reload pbx_config.so']);
});

test('a dialplan that changes while Asterisk loads it is not taken for the one that was checked', (t) => {
  const world = new World(t);
  world.write('files/ours.conf', '[ours]\n');
  const cli = `[[ $1 != *pbx_config* ]] || echo '[other]' >"$state/files/ours.conf"; ${RELOADED}`;
  const { status, said } = world.reload(cli);
  assert.equal(status, NOT_NOW);
  assert.match(said, /changed meanwhile/);
  assert.equal(world.reload().said, 'applied: dialplan\n');
});

test('nobody waits for it any more: nothing is changed', (t) => {
  const world = new World(t);
  world.write('files/acme.env', 'new');
  const { status } = world.run('is_asked() { false; }; begin_reload; apply_reload ""');
  assert.equal(status, NOT_NOW);
  assert.deepEqual(world.asked, []);
});

test('a file that cannot be read is named; a pipe of such a name is not waited for', (t) => {
  const world = new World(t);
  symlinkSync('nowhere', world.path('files/trunk.env'));
  const { status, said } = world.run('begin_reload');
  assert.equal(status, FAULT);
  assert.match(said, / {2}- a file cannot be read: .*trunk\.env/);
  rmSync(world.path('files/trunk.env'));
  assert.equal(world.run('mkfifo "$providers/pipe.conf"; begin_reload').status, 0);
});

test('a reload does not wait for ever behind another one', (t) => {
  const world = new World(t);
  const { status, said } = world.run('exec 9>"$state/reload.lock"; flock 9; begin_reload');
  assert.equal(status, NOT_NOW);
  assert.match(said, /another reload/);
});

test('what runs beside Asterisk is started again where it dies', (t) => {
  const world = new World(t);
  copyFileSync(join(asterisk, 'run'), world.path('run'));
  // Links to programs: a folder for temporary files may not be one for programs.
  for (const name of ['watch', 'maintenance', 'stop-calls']) symlinkSync('/bin/true', world.path(name));
  symlinkSync('/usr/bin/tee', world.path('refusals'));
  // It fails as long as there is no file of this name, and then says it.
  symlinkSync('/bin/ls', world.path('reloads'));
  const { status, stdout } = spawnSync(
    'bash',
    [world.path('run'), 'mark', 'bash', '-c', 'sleep 0.5; touch "$$"; sleep 2.5'],
    { cwd: world.path(''), timeout: 30_000, encoding: 'utf8' },
  );
  assert.equal(status, 0);
  assert.match(stdout, /^\d+\n$/);
});
