import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { isOwners, proveOwner } from './port-proof.ts';

const OWNER = { app: 'digest', key: 'secret' };

/** Somebody who answers at `/livez`. */
async function answering(
  t: TestContext,
  answer: (challenge: string | null, port: number) => object,
): Promise<number> {
  const server = createServer((request, response) => {
    const challenge = new URL(request.url ?? '', 'http://x').searchParams.get('challenge');
    response.end(JSON.stringify(answer(challenge, (server.address() as AddressInfo).port)));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('only who has the secret, and this port, is a bridge that hands it over', async (t) => {
  const owner = await answering(t, (challenge, port) => ({ proof: proveOwner(OWNER, port, challenge) }));
  assert.equal(await isOwners(OWNER, '127.0.0.1', owner), true);
  assert.equal(await isOwners({ ...OWNER, app: 'other' }, '127.0.0.1', owner), false);
  const answers: ((challenge: string | null, port: number) => object)[] = [
    () => ({ app: 'digest', status: 'live' }),
    (challenge, port) => ({ proof: proveOwner({ ...OWNER, key: 'guessed' }, port, challenge) }),
    // What a bridge on another port says.
    (challenge, port) => ({ proof: proveOwner(OWNER, port + 1, challenge) }),
    () => ({ proof: proveOwner(OWNER, 1, '00'.repeat(16)) }),
  ];
  for (const answer of answers)
    assert.equal(await isOwners(OWNER, '127.0.0.1', await answering(t, answer)), false);
});

test('a challenge that is none has no answer', () => {
  for (const challenge of [undefined, '', 'x', ['00'.repeat(16)], '00'.repeat(17)])
    assert.equal(proveOwner(OWNER, 8090, challenge), undefined);
});
