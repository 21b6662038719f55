import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { CallRecord } from '../records/record.ts';
import { EventStream } from './event-stream.ts';

/** A call whose event takes some kilobytes. */
const CALL = { callId: 'c-1', to: 'x'.repeat(8_000) } as CallRecord;
const MANY = 1_900;

async function serve(t: TestContext, events: EventStream): Promise<number> {
  const server = createServer((asked, response) =>
    events.serve(response, asked.headers['last-event-id'] as string | undefined),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    events.close();
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test('who comes back for more than may be left unread is told all of it, and what happens meanwhile', async (t) => {
  const events = new EventStream('p');
  const port = await serve(t, events);
  events.publish('started', CALL);
  for (let i = 0; i < MANY; i += 1) events.publish('started', CALL);
  const client = request({ port, headers: { 'last-event-id': 'p-1' } }).end();
  const [response] = await once(client, 'response');
  // It has not read a byte yet.
  for (let i = 0; i < 20; i += 1) events.publish('ended', CALL);
  assert.equal(events.dropped, 0);
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  while (!text.includes(`id: p-${MANY + 21}\n`)) await once(response, 'data');
  assert.equal(text.split('\nevent: call.').length - 1, MANY + 20);
  client.destroy();
});

test('who does not read is cut off and counted, whether it came back or not', async (t) => {
  for (const lastId of ['p-1', undefined]) {
    const events = new EventStream('p');
    const port = await serve(t, events);
    for (let i = 0; i < MANY; i += 1) events.publish('started', CALL);
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
    const client = request({ port, headers }).end();
    client.on('error', () => {});
    const [response] = await once(client, 'response');
    response.on('error', () => {}).pause();
    assert.equal(events.listeners, 1);
    for (let i = 0; i < 3_000 && events.dropped === 0; i += 1) {
      events.publish('ended', CALL);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual([events.dropped, events.listeners], [1, 0], String(lastId));
    client.destroy();
  }
});
