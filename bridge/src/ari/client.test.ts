import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { AriClient } from './client.ts';
import { AriError } from './requests.ts';

async function startClient(t: TestContext, timeoutMs: number, listener: RequestListener): Promise<AriClient> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`;
  const client = new AriClient({ url, username: 'u', password: 'p', app: 'pipecat', timeoutMs });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

test('requests carry credentials, a prefix of the URL, and ids and values that are encoded', async (t) => {
  const seen: string[] = [];
  const client = await startClient(t, 1_000, (request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.writeHead(204).end();
  });
  await client.setVariable('a/b c', 'NAME', 'x&y=+1');
  await client.subscribe('1.2');
  await client.hangUp('1.2', 17);
  assert.deepEqual(seen, [
    'POST /prefix/ari/channels/a%2Fb%20c/variable?variable=NAME&value=x%26y%3D%2B1 Basic dTpw',
    'POST /prefix/ari/applications/pipecat/subscription?eventSource=channel%3A1.2 Basic dTpw',
    'DELETE /prefix/ari/channels/1.2?reason_code=17 Basic dTpw',
  ]);
});

test('a refusal tells the request, the status and what Asterisk said, and never a password', async (t) => {
  const client = await startClient(t, 1_000, (_request, response) => {
    response.writeHead(409).end('{"message":"Channel not in Stasis"}');
  });
  await assert.rejects(client.answer('x'), (error) => {
    assert.ok(error instanceof AriError);
    assert.equal(error.status, 409);
    assert.equal(error.message, 'POST /channels/x/answer: 409 Channel not in Stasis');
    return true;
  });
});

test('a refusal by a page of HTML, or by nothing, is told in words', async (t) => {
  const page =
    '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\r\n<html><head>\r\n<title>404 Not Found</title>\r\n' +
    '</head><body>\r\n<h1>Not Found</h1>\r\n<p>The requested URL was not found on this server.</p>\r\n' +
    '<hr />\r\n<address>Asterisk</address>\r\n</body></html>\r\n';
  const bodies = [page, '', '{"error":"Allocation failed"}'];
  const client = await startClient(t, 1_000, (_request, response) => {
    response.writeHead(404).end(bodies.shift());
  });
  const said = [
    '404 Not Found: The requested URL was not found on this server. Asterisk',
    '404',
    '404 Allocation failed',
  ];
  for (const text of said)
    await assert.rejects(client.globalVariable('X'), { message: `GET /asterisk/variable: ${text}` });
});

test('a request without a reply says so, and why', async (t) => {
  const client = await startClient(t, 50, () => {});
  await assert.rejects(client.ping(), { message: 'GET /asterisk/ping: no reply (timed out)' });
});

test('what is gone already counts as removed', async (t) => {
  const client = await startClient(t, 1_000, (_request, response) => response.writeHead(404).end('{}'));
  await client.hangUp('x', 16);
  await client.destroyBridge('x');
  assert.equal(await client.variable('x', 'NAME'), undefined);
  await assert.rejects(client.answer('x'), { status: 404 });
});

test('a reply that is no JSON, or not what was asked for, is an error', async (t) => {
  const client = await startClient(t, 1_000, (request, response) => {
    response.end(request.url?.endsWith('channels') ? '<html>' : '{"id":"x"}');
  });
  await assert.rejects(client.channels(), AriError);
  await assert.rejects(client.createExternalMedia('x', '127.0.0.1:4000', 'ulaw'));
});

test('the time limit holds for more requests than there are connections', async (t) => {
  const client = await startClient(t, 500, () => {});
  const beginMs = performance.now();
  const requests = Array.from({ length: 320 }, () => client.answer('x'));
  const results = await Promise.allSettled(requests);
  assert.ok(results.every((result) => result.status === 'rejected' && result.reason.status === 0));
  const tookMs = performance.now() - beginMs;
  assert.ok(tookMs < 2_500, `${tookMs} ms`);
});
