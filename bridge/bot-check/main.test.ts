import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startMock } from '../test/bot-check-mock.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

let mock: Awaited<ReturnType<typeof startMock>>;
before(async () => {
  mock = await startMock();
});
after(() => mock.stop());

/** Runs the program to its end. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

test('what failed is a row with advice, and the exit code is 1', async () => {
  const { code, out } = await run('--url', mock.url, '--to', '+4930110');
  assert.equal(code, 1);
  assert.match(
    out,
    /^calling ws:.*\nconnect +FAIL +Unexpected server response: 503 .*\n +→ look at .*\nFAIL \(/,
  );
});

test('with --json all is one object, and a bot that hangs up early ends with 3', async () => {
  const { code, out } = await run('--url', mock.url, '--to', '122', '--json');
  const { result, findings, media } = JSON.parse(out);
  assert.equal(code, 3);
  assert.equal(result, 'incomplete');
  assert.deepEqual(findings[0].step, 'connect');
  assert.equal(Math.round(media.audioMs), 4000);
});

test('wrong options are all named, and end with 2', async () => {
  const { code, err } = await run('--url', 'http://x', '--dialect', 'sip');
  assert.equal(code, 2);
  assert.match(err, /--url: .*\n.*--dialect: /);
  assert.equal((await run('--url', mock.url, '--speech', MAIN)).code, 2);
});
