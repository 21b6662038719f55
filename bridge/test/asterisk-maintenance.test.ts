/** asterisk/maintenance: Asterisk's maintenance mode, while the bridge stops. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FakeAri } from './fake-ari.ts';
import { until } from './harness.ts';

const script = new URL('../../asterisk/maintenance', import.meta.url).pathname;
const GATE = 'PIPECAT_GATE_pipecat';
const inSeconds = (seconds: number) => String(Math.ceil(Date.now() / 1_000) + seconds);

/** The script beside an ARI, with a CLI that only writes down what it is told. */
async function start(
  t: TestContext,
  hasGate = true,
): Promise<{ ari: FakeAri; told: () => string[]; child: ChildProcess }> {
  const folder = mkdtempSync(join(tmpdir(), 'maintenance-'));
  const ari = await FakeAri.start();
  const credentials = Buffer.from('pipecat:right').toString('base64');
  writeFileSync(join(folder, 'healthcheck'), `/dev/tcp/127.0.0.1/${ari.port}\n${credentials}\n`);
  if (hasGate) writeFileSync(join(folder, 'gate'), `${GATE}\n`);
  const told = join(folder, 'told');
  writeFileSync(told, '');
  const command = `
    . <(sed -e '$d' "$0")
    etc=$1 look_s=0.05
    cli() { echo "$1" >>"$etc/told"; }
    main "$2"`;
  const child = spawn('bash', ['-c', command, script, folder, String(process.pid)], { stdio: 'inherit' });
  t.after(async () => {
    child.kill('SIGKILL');
    await ari.close();
    rmSync(folder, { recursive: true });
  });
  return { ari, told: () => readFileSync(told, 'utf8').split('\n').slice(0, -1), child };
}

test('on while the bridge is stopping, off when it says so no more', async (t) => {
  const { ari, told } = await start(t);
  ari.globals.variables.set(GATE, `${inSeconds(5)} stopping`);
  await until(() => told().length === 1, 'on');
  ari.globals.variables.set(GATE, '');
  await until(() => told().length === 2, 'off');
  assert.deepEqual(told(), ['pjsip set maintenance on all', 'pjsip set maintenance off all']);
});

test('off when the bridge died while it was stopping: its lease ends', async (t) => {
  const { ari, told } = await start(t);
  ari.globals.variables.set(GATE, `${inSeconds(2)} stopping`);
  await until(() => told().length === 2, 'on, and off');
  assert.equal(told()[1], 'pjsip set maintenance off all');
});

test('not for a gate that is closed for another reason, for a time long past, or far ahead', async (t) => {
  const { ari, told } = await start(t);
  for (const value of [
    inSeconds(5),
    `${inSeconds(-5)} stopping`,
    `${inSeconds(500)} stopping`,
    'x stopping',
  ]) {
    const asked = ari.requests.length;
    ari.globals.variables.set(GATE, value);
    await until(() => ari.requests.length > asked + 2, `asked for ${value}`);
  }
  assert.deepEqual(told(), []);
});

test('not where callers get the fallback: it ends at once', async (t) => {
  const { child, told } = await start(t, false);
  await until(() => child.exitCode === 0, 'the end');
  assert.deepEqual(told(), []);
});
