import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

const asterisk = new URL('../../asterisk/', import.meta.url).pathname;
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'asterisk-checks-'));
});
after(() => rm(root, { recursive: true }));

/** The problems that a command of Asterisk's checks.sh finds; `own` are the host's addresses. */
async function problems(command: string, own: readonly string[] = []): Promise<string[]> {
  const table = own.map((address) => `     |-- ${address}\n        /32 host LOCAL\n`).join('');
  const file = join(await mkdtemp(join(root, 'host-')), 'fib_trie');
  await writeFile(
    file,
    `Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n${table}`,
  );
  const script = `
    set -euo pipefail
    problems=()
    problem() { problems+=("$1: $2"); }
    source "$1/checks.sh"
    eval "$(declare -f own_addresses | sed "s#/proc/net/fib_trie#$2#")"
    ${command}
    printf '%s\\n' "\${problems[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'check', asterisk, file]);
  return stdout.split('\n').filter((line) => line !== '');
}

const defaults = '$private_networks,127.0.0.0/8';

describe('LOCAL_NETS behind NAT', () => {
  for (const { title, external, nets, sip, own, missing } of [
    {
      title: 'the own address is missing',
      external: '203.0.113.5',
      nets: '10.0.0.0/8',
      sip: '192.168.1.7',
      own: [],
      missing: ['192.168.1.7'],
    },
    {
      title: 'one of all addresses is missing',
      external: '203.0.113.5',
      nets: '10.0.0.0/8',
      sip: '0.0.0.0',
      own: ['10.1.2.3', '172.17.0.1'],
      missing: ['172.17.0.1'],
    },
    {
      title: 'carrier-grade NAT is in the default',
      external: '203.0.113.5',
      nets: defaults,
      sip: '0.0.0.0',
      own: ['100.64.3.4'],
      missing: [],
    },
    {
      title: 'carrier-grade NAT is missing',
      external: '203.0.113.5',
      nets: '192.168.0.0/16',
      sip: '100.127.3.4',
      own: [],
      missing: ['100.127.3.4'],
    },
    { title: 'not behind NAT', external: '', nets: '10.0.0.0/8', sip: '192.168.1.7', own: [], missing: [] },
    {
      title: 'the external address is the own one',
      external: '203.0.113.5',
      nets: '10.0.0.0/8',
      sip: '0.0.0.0',
      own: ['203.0.113.5', '10.0.0.1'],
      missing: [],
    },
  ]) {
    test(title, async () => {
      const found = await problems(`check_local_networks "${external}" "${nets}" "${sip}"`, own);
      assert.deepEqual(
        found.map((problem) => /does not hold ([\d.]+),/.exec(problem)?.[1]),
        missing,
      );
    });
  }
});

describe('an address to listen on', () => {
  for (const [address, isOwn] of [
    ['10.1.2.3', true],
    ['10.1.2.4', false],
    ['10.1.2.30', false],
    ['0.0.0.0', true],
    ['127.0.0.9', true],
    ['', true],
  ] as const) {
    test(`${address || 'none, which is said elsewhere'}: ${isOwn ? 'fine' : 'not of this host'}`, async () => {
      const found = await problems(`check_own_address SIP_ADDRESS "${address}"`, ['10.1.2.3', '10.1.2.44']);
      assert.deepEqual(found, isOwn ? [] : [`SIP_ADDRESS: '${address}' is no address of this host`]);
    });
  }
});
