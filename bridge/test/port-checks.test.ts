import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';

const scripts = new URL('../../scripts/', import.meta.url).pathname;

/** A port of loopback that somebody has. */
async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

interface Host {
  /** Of `.env`. */
  readonly settings: Readonly<Record<string, number | string>>;
  readonly running: readonly string[];
  /** What the running containers were told. */
  readonly environment: Readonly<Record<string, number | string>>;
}

/** What `make up` says of the ports before anything is stopped; empty where it goes on. */
async function refusal(t: TestContext, { settings, running, environment }: Host): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ports-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const lines = (pairs: Host['settings']) =>
    Object.entries(pairs).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, '.env'), lines(settings).join(''));
  writeFileSync(join(folder, 'environment'), lines(environment).join(''));
  // A function, for a folder for temporary files may not be one for programs.
  const docker = `docker() {
      case "$*" in
        *--services*) printf '%s\\n' ${running.join(' ')} ;;
        *--quiet*) echo an-id ;;
        inspect*) cat environment ;;
      esac
    }`;
  const script = `set -euo pipefail
    ${docker}
    fail() { echo "$1" && exit 1; }
    . "$1/settings.sh" && . "$1/ports.sh"
    require_free_ports`;
  const options = { cwd: folder };
  return await promisify(execFile)('bash', ['-c', script, 'up', scripts], options).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }) => `${stdout}${stderr}`,
  );
}

/** Nobody has these. */
const FREE = { SIP_PORT: 1, ARI_PORT: 2, HTTP_PORT: 3, MOCK_PORT: 4 };
const ALL = ['asterisk', 'bridge', 'mock-pipecat'];

for (const [name, service] of [
  ['ARI_PORT', 'asterisk'],
  ['SIP_PORT', 'asterisk'],
  ['HTTP_PORT', 'bridge'],
  ['MOCK_PORT', 'mock-pipecat'],
] as const) {
  test(`${name} becomes one that another program has: a running ${service} is not stopped for it`, async (t) => {
    const port = await takenPort(t);
    const settings = { ...FREE, COMPOSE_PROFILES: 'lab', [name]: port };
    const said = await refusal(t, { settings, running: ALL, environment: FREE });
    assert.match(said, new RegExp(`127\\.0\\.0\\.1:${port} .* is taken by`));
    assert.match(await refusal(t, { settings, running: [], environment: {} }), /is taken by/);
  });

  test(`${name} that ${service} has itself is in nobody's way, at another address neither`, async (t) => {
    const own = { ...FREE, [name]: await takenPort(t) };
    const settings = { ...own, COMPOSE_PROFILES: 'lab' };
    assert.equal(await refusal(t, { settings, running: ALL, environment: own }), '');
    const everywhere = {
      ...settings,
      SIP_ADDRESS: '0.0.0.0',
      ARI_ADDRESS: '0.0.0.0',
      HTTP_ADDRESS: '0.0.0.0',
    };
    assert.equal(await refusal(t, { settings: everywhere, running: ALL, environment: own }), '');
  });
}
