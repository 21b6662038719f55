import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../src/config/environment.ts';
import { API_TOKEN, api } from './api-client.ts';
import { Lab } from './harness.ts';

const BOT_TOKEN = 'bot-token-of-the-tests';
const path = (sid: string) => `/2010-04-01/Accounts/AC1/Calls/${sid}.json`;

async function hangUp(lab: Lab, sid: string, token: string) {
  const authorization = `Basic ${btoa(`AC1:${token}`)}`;
  const body = new URLSearchParams({ Status: 'completed' });
  const url = `http://127.0.0.1:${lab.daemon.httpPort}${path(sid)}`;
  const response = await fetch(url, { method: 'POST', headers: { authorization }, body });
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as { code: number },
  };
}

test('two hundred requests without a token cost who has it nothing, from the same address', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const wrong = (headers: Record<string, string>) =>
    Promise.all(Array.from({ length: 200 }, () => api(lab, 'GET', '/calls', undefined, headers)));
  const guesses = [...(await wrong({})), ...(await wrong({ authorization: 'Bearer guess' }))];
  const statuses = guesses.map(({ status }) => status);
  assert.deepEqual([...new Set(statuses)].sort(), [401, 429]);
  assert.ok(statuses.filter((status) => status === 401).length < 30);
  assert.notEqual(guesses.at(-1)?.headers.get('retry-after'), null);
  for (let i = 0; i < 20; i += 1) assert.equal((await api(lab, 'GET', '/calls')).status, 200);
  assert.equal(await lab.metric('http_unauthorized_total{route="api"}'), 400);
  const [line] = lab.logged('many requests with a wrong token');
  assert.equal(line?.address, '127.0.0.1');
  assert.doesNotMatch(JSON.stringify(lab.logs), /guess"/);
});

test('guesses at the hang-up route are limited, and a bot with the token still hangs up', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN, BOT_TOKEN, PIPECAT_DIALECT: 'twilio' } });
  lab.ari.inbound();
  const session = await lab.session();
  const [callSid = ''] = session.of('start').map(({ start }) => (start as { callSid: string }).callSid);
  const guesses = await Promise.all(Array.from({ length: 60 }, (_, i) => hangUp(lab, callSid, `guess-${i}`)));
  const limited = guesses.filter(({ status }) => status === 429);
  assert.ok(limited.length >= 35, `${limited.length} of 60`);
  assert.deepEqual([limited[0]?.body.code, limited[0]?.retryAfter !== null], [20429, true]);
  assert.equal((await hangUp(lab, callSid, API_TOKEN)).status === 200, false, 'the API has its own token');
  assert.equal((await hangUp(lab, callSid, BOT_TOKEN)).status, 200);
  await lab.ended();
});

test('a bot’s token may only hang up; without one the API’s is taken, as before', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN, BOT_TOKEN } });
  const headers = { authorization: `Bearer ${BOT_TOKEN}` };
  for (const [method, route] of [
    ['GET', '/calls'],
    ['POST', '/calls'],
    ['DELETE', '/calls/c-1'],
    ['GET', '/events'],
    ['GET', '/openapi.json'],
  ] as const)
    assert.equal((await api(lab, method, route, undefined, headers)).status, 403, route);
  const before = await Lab.start(t, { config: { API_TOKEN } });
  assert.equal((await hangUp(before, 'CA0', API_TOKEN)).status, 404);
});

test('a bot’s token that is the API’s stops the start', () => {
  const environment = { ARI_USERNAME: 'a', ARI_PASSWORD: 'b', API_TOKEN, BOT_TOKEN: API_TOKEN };
  assert.throws(() => loadConfig(environment), /BOT_TOKEN: must be another than API_TOKEN/);
});
