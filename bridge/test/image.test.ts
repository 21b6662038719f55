import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

test('what the image has compiled was made with the flags that it runs with', () => {
  const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8');
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? [];
  const made = /^ {2}(node .*src\/main\.ts) /m.exec(dockerfile)?.[1];
  assert.equal(made, (JSON.parse(command) as string[]).join(' '));
  assert.ok(dockerfile.indexOf('USER bridge') < dockerfile.indexOf('NODE_COMPILE_CACHE'), 'by the same user');
});
