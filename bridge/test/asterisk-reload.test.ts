/**
 * Bridge and Asterisk go by the same provider files: asterisk/reloads, which applies them, and the
 * bridge, which asks for it.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { providersGeneration } from '../src/config/generation.ts';
import { ANSWER_MS } from '../src/control/asterisk-reload.ts';
import { api } from './api-client.ts';
import { ORDER, PROVIDER, startLab } from './api-lab.ts';
import type { FakeAri } from './fake-ari.ts';
import { type Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;
const ANSWER = 'PIPECAT_RELOADED_pipecat';
const QUESTION = 'PIPECAT_RELOAD_pipecat';
const THEIRS = 'PIPECAT_PROVIDERS_pipecat';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'asterisk-reload-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The script beside an ARI. `reload`, shell, stands in for the entrypoint; $1 is the digest. */
async function script(t: TestContext, ari: FakeAri, reload: string): Promise<void> {
  const etc = folder(t);
  const credentials = Buffer.from('pipecat:right').toString('base64');
  writeFileSync(join(etc, 'healthcheck'), `/dev/tcp/127.0.0.1/${ari.port}\n${credentials}\n`);
  writeFileSync(join(etc, 'app'), 'pipecat\n');
  writeFileSync(join(etc, 'generation'), 'of-the-start\n');
  const command = `
    . <(sed -e '$d' "$0")
    etc=$1 look_s=0.05
    reload_files() { ${reload}; }
    main "$2"`;
  const path = join(asterisk, 'reloads');
  const child = spawn('bash', ['-c', command, path, etc, String(process.pid)], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await until(() => ari.globals.variables.get(ANSWER) === 'ready', 'it is ready');
}

/** A lab whose provider file is in `directory`. */
async function lab(t: TestContext): Promise<{ lab: Lab; directory: string }> {
  const directory = providersDirectory(t, PROVIDER);
  return { lab: await startLab(t, PROVIDER, { config: { PROVIDERS_DIR: directory } }), directory };
}

const knows = async (of: Lab, provider: string) =>
  (await api(of, 'POST', '/calls', { ...ORDER, provider })).status !== 422;

test('Asterisk applies the files that the bridge has read, and then the bridge does', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(t, bridge.ari, 'echo "applied: $1"');
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  assert.deepEqual(await bridge.reload(), { applied: ['acme.env'], needRestart: [] });
  const [line] = bridge.logged('configuration reloaded');
  assert.equal(line?.asterisk, `applied: ${providersGeneration(directory)}`);
  assert.equal(await knows(bridge, 'acme'), true);
});

test('what Asterisk refuses the bridge refuses too, in its words', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(
    t,
    bridge.ari,
    'printf "put right:\\n  - a.env:DTMF: \\047x\\047 is not; ok\\n  - b\\n"; return 78',
  );
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  assert.deepEqual(await bridge.reload({ MAX_CALLS: '7' }), {
    refused: "Asterisk: a.env:DTMF: 'x' is not; ok; b",
  });
  assert.equal(await knows(bridge, 'acme'), false);
});

test('what the bridge refuses Asterisk is not asked about', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(t, bridge.ari, 'echo applied');
  writeFileSync(join(directory, 'acme.env'), 'NUMBER_FORMAT=x\n');
  assert.ok('refused' in (await bridge.reload()));
  assert.equal(bridge.ari.globals.variables.get(ANSWER), 'ready');
});

test('an Asterisk that hangs, or is away, refuses: neither has changed, and it is not asked any more', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  bridge.ari.globals.variables.set(ANSWER, 'ready');
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  t.mock.method(
    performance,
    'now',
    (
      (now) => () =>
        now() * 20
    )(performance.now.bind(performance)),
  );
  assert.deepEqual(await bridge.reload(), {
    refused:
      'Asterisk: did not apply the files within 30 s; where it applies them yet, the bridge takes them too',
  });
  assert.equal(bridge.ari.globals.variables.has(QUESTION), false);
});

/** Requests about this variable, with this in their value, fail so often. */
function failing(of: Lab, request: RegExp, variable: string, value: RegExp, times: number): () => number {
  let left = times;
  of.ari.before(request, ({ query }) => {
    if (query.get('variable') !== variable || !value.test(query.get('value') ?? '')) return undefined;
    left -= 1;
    return left >= 0 ? 500 : undefined;
  });
  return () => left;
}

test('an answer that does not get through is given again', async (t) => {
  for (const [variable, value] of [
    [ANSWER, /ok/],
    [THEIRS, /of-the-start/],
  ] as const) {
    const { lab: bridge, directory } = await lab(t);
    await script(t, bridge.ari, 'echo applied');
    const left = failing(bridge, /^POST \/asterisk\/variable/, variable, value, 1);
    writeFileSync(join(directory, 'acme.env'), PROVIDER);
    assert.deepEqual(await bridge.reload(), { applied: ['acme.env'], needRestart: [] });
    assert.ok(left() < 0);
  }
});

test('a look that fails is no answer: the bridge looks again', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(t, bridge.ari, 'echo applied');
  const left = failing(bridge, /^GET \/asterisk\/variable/, ANSWER, /^$/, 3);
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  assert.deepEqual(await bridge.reload(), { applied: ['acme.env'], needRestart: [] });
  assert.ok(left() < 0);
});

test('a reload that Asterisk carries out late sees that nobody waits for it', async (t) => {
  const { lab: bridge } = await lab(t);
  const generation = '0'.repeat(64);
  const etc = folder(t);
  const credentials = Buffer.from('pipecat:right').toString('base64');
  writeFileSync(join(etc, 'healthcheck'), `/dev/tcp/127.0.0.1/${bridge.ari.port}\n${credentials}\n`);
  writeFileSync(join(etc, 'app'), 'pipecat\n');
  const isAsked = async () => {
    const command = `. <(sed -e '$d' "$0"); etc=$1; main --asked ${generation}`;
    const child = spawn('bash', ['-c', command, join(asterisk, 'reloads'), etc], { stdio: 'ignore' });
    return await new Promise((resolve) => child.once('exit', (code) => resolve(code === 0)));
  };
  bridge.ari.globals.variables.set(QUESTION, `${generation} 1f`);
  assert.equal(await isAsked(), true);
  bridge.ari.globals.variables.set(QUESTION, `${'1'.repeat(64)} 1f`);
  assert.equal(await isAsked(), false);
  bridge.ari.globals.variables.delete(QUESTION);
  assert.equal(await isAsked(), false);
});

test('make reload waits longer than the bridge waits for Asterisk', () => {
  const text = readFileSync(join(asterisk, '../scripts/reloads.sh'), 'utf8');
  const seconds = Number(/^RELOAD_S=(\d+)/m.exec(text)?.[1]);
  assert.ok(seconds * 1000 > ANSWER_MS + 5000, `${seconds} s`);
});

test('two processes that ask at the same time both get an answer', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(t, bridge.ari, 'sleep 0.2; echo applied');
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  const other = await startLab(t, PROVIDER, { ari: bridge.ari, config: { PROVIDERS_DIR: directory } });
  const changes = await Promise.all([bridge.reload(), other.reload({ MAX_CALLS: '9' })]);
  for (const change of changes) assert.ok('applied' in change, JSON.stringify(change));
});

test('an Asterisk that was started anew, by other files: the bridge reads them too, and tries once', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  await script(t, bridge.ari, 'echo "$1" >"$etc/generation"; echo applied');
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  bridge.followAsterisk(50);
  await until(() => bridge.logged('configuration reloaded').length > 0, 'reloaded');
  assert.equal(await knows(bridge, 'acme'), true);
  const theirs = bridge.ari.globals.variables.get(THEIRS);
  assert.equal(theirs, providersGeneration(directory));
  writeFileSync(join(directory, 'acme.env'), 'NUMBER_FORMAT=x\n');
  bridge.ari.globals.variables.set(THEIRS, 'other');
  await until(() => bridge.logged('reload refused, what runs goes on').length > 0, 'refused');
  const asked = bridge.ari.requests.length;
  await until(() => bridge.ari.requests.length > asked + 5, 'it looks on');
  assert.equal(bridge.logged('reload refused, what runs goes on').length, 1);
});

test('files that Asterisk finds a fault in are tried once, what it could not do just now is tried again', async (t) => {
  for (const [status, tries] of [
    [78, 1],
    [75, 2],
  ]) {
    const { lab: bridge, directory } = await lab(t);
    const first = 'if [ ! -e "$etc/first" ]; then : >"$etc/first"; echo "  - not now"; ';
    await script(t, bridge.ari, `${first} return ${status}; fi; echo "$1" >"$etc/generation"; echo applied`);
    writeFileSync(join(directory, 'acme.env'), PROVIDER);
    bridge.followAsterisk(50);
    const followed = () => bridge.logged('Asterisk goes by other provider files: they are read again').length;
    if (tries === 2)
      await until(() => bridge.logged('configuration reloaded').length > 0, 'it is tried again');
    else await until(() => bridge.logged('reload refused, what runs goes on').length > 0, 'refused');
    const asked = bridge.ari.requests.length;
    await until(() => bridge.ari.requests.length > asked + 5, 'it looks on');
    assert.equal(followed(), tries);
  }
});

test('an Asterisk that was not ready, and had read older files: the bridge sees that they differ', async (t) => {
  const { lab: bridge, directory } = await lab(t);
  const older = providersGeneration(directory);
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  assert.deepEqual(await bridge.reload(), { applied: ['acme.env'], needRestart: [] });
  bridge.ari.globals.variables.set(THEIRS, older);
  bridge.followAsterisk(50);
  const text = 'Asterisk goes by other provider files: they are read again';
  await until(() => bridge.logged(text).length > 0, 'it is seen');
});

test('bridge and Asterisk make the same digest of the files, whatever is in them', (t) => {
  const directory = folder(t);
  const texts = { 'b.env': 'B=ä\n', 'A_1.env': 'no end', 'a-1.env': '', 'z.conf': 'x', '.hidden.env': 'x' };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text);
  const shell = `
    providers=$1
    . <(sed -n '/^provider_files()/,/^}/p' "$0/providers.sh")
    . <(sed -n '/^providers_generation()/,/^}/p' "$0/reloading.sh")
    providers_generation`;
  const env = { ...process.env, LC_ALL: 'C' };
  const digest = execFileSync('bash', ['-c', shell, asterisk, directory], { encoding: 'utf8', env });
  assert.equal(digest.trim(), providersGeneration(directory));
});
