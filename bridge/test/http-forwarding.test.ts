import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { Lab, until } from './harness.ts';
import { answering, CONFIG, successor, taken } from './http-successor.ts';
import { providersDirectory } from './providers-directory.ts';

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'forwarding-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** Settings of bridges that may dial, and write to one folder of records. */
function shared(t: TestContext, keys = ''): Record<string, string> {
  const file = `COUNTRY_CODE=49\nNUMBER_FORMAT=national\nCALLER_ID=+4930111\n${keys}`;
  return { ...CONFIG, RECORDS_DIR: folder(t), PROVIDERS_DIR: providersDirectory(t, file) };
}

/** Two processes: the first has what `begin` began, the second has the port. */
async function two(t: TestContext, config: Record<string, string>, begin: (first: Lab) => Promise<unknown>) {
  const first = await Lab.start(t, { config });
  await begin(first);
  const before = await answering(first);
  const second = await successor(t, first, config);
  await taken(second);
  await until(async () => (await answering(second)) !== before, 'the new process answers');
  return { first, second };
}

const calling = (id: string) => async (first: Lab) => {
  const { channel } = await first.call({ variables: { X_CALL_ID: id } });
  return channel;
};

test('requests about a call of the old process reach it, whatever they ask', async (t) => {
  const config = { ...shared(t), RECORDINGS_DIR: folder(t), RECORDING: 'on' };
  const { first, second } = await two(t, config, calling('old'));
  const session = await first.session();
  const found = await api(second, 'GET', '/calls/old');
  assert.deepEqual([found.status, found.body.state], [200, 'active']);
  assert.equal((await api(second, 'POST', '/calls/old/dtmf', { digits: '12' })).status, 202);
  const recording = await api(second, 'POST', '/calls/old/recording', { state: 'pause' });
  assert.equal(recording.status, 200);
  const refused = await api(second, 'POST', '/calls/old/transfer', { to: '+49301', provider: 'nobody' });
  assert.equal(refused.status, 422, 'the reason of the process that has the call');
  assert.equal(refused.body.errors[0].field, 'provider');
  assert.equal((await api(second, 'GET', '/calls/nobody')).status, 404);
  assert.equal((await api(second, 'POST', '/calls/nobody/dtmf', { digits: '1' })).status, 404);
  const wrong = { authorization: 'Bearer wrong' };
  assert.equal((await api(second, 'DELETE', '/calls/old', undefined, wrong)).status, 401);
  assert.equal(session.closed, undefined);
  assert.equal((await api(second, 'DELETE', '/calls/old')).status, 202);
  assert.equal((await first.ended()).reason.kind, 'api-hangup');
  await until(async () => (await api(second, 'GET', '/calls/old')).body.state === 'closed', 'it has ended');
  assert.equal((await api(second, 'DELETE', '/calls/old')).status, 200);
});

test('a bot of the old process hangs up by the REST API of Twilio', async (t) => {
  const config = { ...shared(t), PIPECAT_DIALECT: 'twilio' };
  const { first, second } = await two(t, config, (lab) => {
    lab.ari.inbound();
    return until(() => lab.bot.sessions[0]?.of('start').length === 1, 'the bot has the call');
  });
  const start = first.bot.sessions[0]?.of('start')[0] as unknown as { start: { callSid: string } };
  const hangUp = async (callSid: string, token = API_TOKEN) => {
    const url = `http://127.0.0.1:${second.daemon.httpPort}/2010-04-01/Accounts/AC1/Calls/${callSid}.json`;
    const headers = { authorization: `Basic ${btoa(`AC1:${token}`)}` };
    return await fetch(url, { method: 'POST', headers, body: new URLSearchParams({ Status: 'completed' }) });
  };
  assert.equal((await hangUp(start.start.callSid, 'wrong')).status, 401);
  assert.equal((await hangUp('CA00')).status, 404);
  assert.equal((await hangUp(start.start.callSid)).status, 200);
  assert.equal((await first.ended()).reason.kind, 'bot-hangup');
});

test('the limits and the list hold for the calls of both processes, and an order is one call', async (t) => {
  const config = { ...shared(t, 'OUTBOUND_MAX_CALLS=2\n'), MAX_CALLS: '3' };
  const order = (id: string) => ({ to: '+4930777777', provider: 'pb_fintech', callId: id });
  const { first, second } = await two(t, config, async (lab) => {
    await calling('inbound')(lab);
    assert.equal((await api(lab, 'POST', '/calls', order('one'))).status, 202);
  });
  const live = async () => JSON.parse((await second.get('/livez')).body).predecessors;
  assert.deepEqual(await live(), { processes: 1, calls: 2 });
  const again = await api(second, 'POST', '/calls', order('one'));
  assert.deepEqual([again.status, again.body.callId], [200, 'one']);
  assert.equal((await api(second, 'POST', '/calls', order('two'))).status, 202);
  const full = await api(second, 'POST', '/calls', order('three'));
  assert.equal(full.status, 429);
  assert.match((await second.get('/readyz')).body, /MAX_CALLS is reached/);
  const list = async (query: string) =>
    (await api(second, 'GET', `/calls?${query}`)).body.calls.map(({ callId }: { callId: string }) => callId);
  assert.deepEqual(await list(''), ['two', 'one', 'inbound']);
  assert.deepEqual(await list('state=active'), ['inbound']);
  const page = (await api(second, 'GET', '/calls?limit=2')).body;
  assert.deepEqual(await list(`limit=2&cursor=${page.nextCursor}`), ['inbound']);
  for (const id of ['one', 'two', 'inbound']) await api(second, 'DELETE', `/calls/${id}`);
  await until(async () => (await live()).calls === 0, 'the old process has no calls');
  assert.deepEqual(await live(), { processes: 0, calls: 0 });
  await first.ended(1);
  await second.ended();
});

test('an order that comes during the handover waits for the new process, and is placed once', async (t) => {
  const config = shared(t);
  const first = await Lab.start(t, { config });
  const order = (id: string) => ({ to: '+4930777777', provider: 'pb_fintech', callId: id });
  const ordered: { step: string; answer: ReturnType<typeof api> }[] = [];
  first.ari.after(/^POST \/asterisk\/variable$/, ({ query }) => {
    const step = query.get('value') ?? '';
    if (!/^(asked|ready|done)$/.test(step)) return;
    for (const id of [step, 'each-time'])
      ordered.push({ step, answer: api(first, 'POST', '/calls', order(id)) });
  });
  const second = await successor(t, first, config);
  await taken(second);
  const answers = await Promise.all(ordered.map(async ({ step, answer }) => ({ step, ...(await answer) })));
  assert.equal(answers.length, 6);
  for (const { step, status } of answers) assert.ok(status === 202 || status === 200, `${step}: ${status}`);
  assert.equal(answers.filter(({ status }) => status === 202).length, 4, 'each-time is one call');
  const list = (await api(second, 'GET', '/calls')).body.calls as { callId: string }[];
  assert.deepEqual(list.map(({ callId }) => callId).sort(), ['asked', 'done', 'each-time', 'ready']);
  for (const { callId } of list) assert.equal((await api(second, 'DELETE', `/calls/${callId}`)).status, 202);
  const ends = () => [first, second].flatMap((lab) => lab.logged('call ended'));
  await until(() => ends().length === 4, 'an end each');
});

test('a process that stands still: its calls can be read, and an order for them is told so', async (t) => {
  const lab = await Lab.start(t, { config: CONFIG });
  const config = { ...shared(t), ARI_HEARTBEAT_MS: '3000' };
  const { child } = await startProcess(t, lab, config);
  lab.ari.inbound({ variables: { X_CALL_ID: 'old' } });
  await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  const url = `http://127.0.0.1:${lab.ari.port}`;
  const second = await Lab.start(t, { config: { ...config, ARI_URL: url } });
  child.kill('SIGSTOP');
  assert.equal((await api(second, 'GET', '/calls/old')).status, 200);
  const refused = await api(second, 'DELETE', '/calls/old');
  assert.deepEqual([refused.status, refused.body.status], [504, 504]);
  assert.match(refused.body.detail, /does not answer/);
  child.kill('SIGCONT');
  assert.equal((await api(second, 'DELETE', '/calls/old')).status, 202);
  await until(async () => (await api(second, 'GET', '/calls/old')).body.state === 'closed', 'it has ended');
});

test('the secret of the private port is none on the public port', async (t) => {
  const config = shared(t);
  const first = await Lab.start(t, { config });
  const { channel } = await first.call();
  await Lab.start(t, { config: { ...config, ARI_URL: `http://127.0.0.1:${first.ari.port}` } });
  const isOwn = ([name]: [string, string]) => name.startsWith('PIPECAT_BRIDGE_pipecat-');
  const claim = await until(() => [...first.ari.globals.variables].find(isOwn)?.[1], 'the claim');
  const [, port, secret] = /\/(\d+):(\w+)$/.exec(claim) ?? [];
  const status = async (at: number | string | undefined, path: string) => {
    const headers = { authorization: `Bearer ${secret}` };
    return (await fetch(`http://127.0.0.1:${at}${path}`, { headers })).status;
  };
  for (const path of ['/process/calls', '/calls']) assert.equal(await status(port, path), 200);
  assert.equal(await status(first.daemon.httpPort, '/process/calls'), 404);
  assert.equal(await status(first.daemon.httpPort, '/calls'), 401);
  first.ari.hangUp(channel.id);
  await first.ended();
});
