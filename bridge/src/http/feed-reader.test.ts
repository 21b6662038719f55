import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FeedReader } from './feed-reader.ts';

const COUNTS = { type: 'counts', stream: 'a', counts: { calls: 2, outbound: {} } };

/** What is read from somebody who gives these answers, one after the other. */
async function read(
  t: TestContext,
  answers: readonly { status: number; body: string }[],
): Promise<unknown[]> {
  let count = 0;
  const done = Promise.withResolvers<void>();
  const server = createServer((_request, response) => {
    const { status, body } = answers[count] ?? { status: 500, body: '' };
    count += 1;
    if (count > answers.length) done.resolve();
    response.writeHead(status).end(body);
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const lines: unknown[] = [];
  const reader = new FeedReader({ instance: 'a', address: { port, secret: 's' } }, (line) =>
    lines.push(line),
  );
  t.after(() => reader.stop());
  await done.promise;
  return lines;
}

test('of what somebody else answers on the port of a process that ended nothing is believed', async (t) => {
  const right = JSON.stringify(COUNTS);
  const lines = await read(t, [
    { status: 404, body: '{"status":404}' },
    { status: 503, body: right },
    { status: 200, body: '{}' },
    { status: 200, body: 'not JSON' },
    { status: 200, body: '{"type":"counts","stream":"a"}' },
    { status: 200, body: `${right}\n{"type":"last"}\n${right}` },
  ]);
  assert.deepEqual(lines, [COUNTS], 'up to the first line that is none');
});
