import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fastify } from 'fastify';
import { addTwilioRest } from './twilio-rest.ts';

const TOKEN = 'token-of-the-api';
const ACCOUNT = `AC${'1'.repeat(32)}`;
const CALL = `CA${'2'.repeat(32)}`;
const url = (callSid: string, account = ACCOUNT) => `/2010-04-01/Accounts/${account}/Calls/${callSid}.json`;
const basic = (user: string, password: string) => `Basic ${btoa(`${user}:${password}`)}`;

async function post(path: string, body: string, authorization: string | undefined, token?: string) {
  const ended: string[] = [];
  const server = fastify();
  const hangUp = (callSid: string) => callSid === CALL && ended.push(callSid) > 0;
  addTwilioRest(server, { token, hangUp });
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    ...(authorization === undefined ? {} : { authorization }),
  };
  const reply = await server.inject({ method: 'POST', url: path, headers, body });
  return { status: reply.statusCode, body: reply.json(), ended };
}

test('a call is ended by the form that Twilio takes, with the account of the path and the token', async () => {
  const { status, body, ended } = await post(url(CALL), 'Status=completed', basic(ACCOUNT, TOKEN), TOKEN);
  assert.equal(status, 200);
  assert.deepEqual(body, { sid: CALL, account_sid: ACCOUNT, status: 'completed', uri: url(CALL) });
  assert.deepEqual(ended, [CALL]);
});

test('a call that is not there is 404 with the code by which bots know that it has ended', async () => {
  const { status, body } = await post(url('CA0'), 'Status=completed', basic(ACCOUNT, TOKEN), TOKEN);
  assert.deepEqual([status, body.code, body.status], [404, 20404, 404]);
});

test('nobody gets in without the right account and token, and nobody at all where no token is set', async () => {
  const tries: [string | undefined, string | undefined][] = [
    [undefined, TOKEN],
    [basic(ACCOUNT, 'wrong'), TOKEN],
    [basic('AC0', TOKEN), TOKEN],
    [`Bearer ${TOKEN}`, TOKEN],
    ['Basic %%%', TOKEN],
    [basic(ACCOUNT, ''), undefined],
    [basic(ACCOUNT, 'undefined'), undefined],
  ];
  for (const [authorization, token] of tries) {
    const { status, body, ended } = await post(url(CALL), 'Status=completed', authorization, token);
    assert.deepEqual([status, body.code, ended], [401, 20003, []], String(authorization));
  }
});

test('anything but Status=completed is refused', async () => {
  for (const body of ['', 'Status=canceled', 'Twiml=%3CResponse%2F%3E', 'status=completed']) {
    const reply = await post(url(CALL), body, basic(ACCOUNT, TOKEN), TOKEN);
    assert.deepEqual([reply.status, reply.body.code, reply.ended], [400, 20001, []], body);
  }
});
