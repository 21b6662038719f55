import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseOptions } from './options.ts';
import { fillScenario } from './scenario.ts';

test('the defaults call the lab', () => {
  assert.partialDeepStrictEqual(parseOptions([], 'id-1'), {
    scenario: 'caller',
    to: '100',
    callId: 'id-1',
    seconds: 8,
    toneHz: 440,
    codec: 'pcmu',
    calls: 1,
    json: false,
    sip: { address: '127.0.0.1', port: 5060 },
    local: { address: '127.0.0.2', port: 0 },
  });
});

for (const { args, problem } of [
  { args: ['--seconds', 'ten'], problem: /--seconds is a number/ },
  { args: ['--calls', '0'], problem: /--calls is a number from 1/ },
  { args: ['--sip', 'localhost'], problem: /--sip is an IPv4 address/ },
  { args: ['--codec', 'opus'], problem: /--codec/ },
  { args: ['--scenario', '../../etc/passwd'], problem: /--scenario/ },
  { args: ['--digits', '12,"'], problem: /--digits/ },
  { args: ['--what'], problem: /--what/ },
]) {
  test(`${args.join(' ')} is refused with a message that names it`, () => {
    assert.throws(() => parseOptions(args, 'id'), problem);
  });
}

test('a scenario takes its parts and values; a value that is missing is named', () => {
  const part = () => 'to {{to}}\n';
  assert.equal(
    fillScenario('call {{> invite}}\nfor {{seconds}}\n', part, { to: 5, seconds: 2 }),
    'call to 5\nfor 2\n',
  );
  assert.throws(() => fillScenario('{{> invite}}\n', part, {}), /a value for to/);
});

test('every scenario names only parts that there are', async () => {
  const folder = new URL('scenarios/', import.meta.url);
  const parts = (await readdir(new URL('parts/', folder))).map((name) => name.replace('.xml', ''));
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.xml'))) {
    const used = [...(await readFile(new URL(name, folder), 'utf8')).matchAll(/\{\{> ([\w-]+)\}\}/g)];
    for (const [, part = ''] of used) assert.ok(parts.includes(part), `${name} uses ${part}`);
  }
});
