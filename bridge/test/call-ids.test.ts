import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

async function startLab(t: TestContext, config: Record<string, string> = {}): Promise<Lab> {
  const directory = providersDirectory(t, 'COUNTRY_CODE=49\nCALLER_ID=+4930111\n');
  return await Lab.start(t, {
    config: { API_TOKEN, PROVIDERS_DIR: directory, CALLBACK_TRIES: '1', ...config },
  });
}

const ORDER = { to: '+4930777777', provider: 'pb_fintech', callId: 'c-1' };

test('of two live calls with one id each is found, hung up and told of by an id of its own', async (t) => {
  const lab = await startLab(t);
  const first = await lab.call({ args: ['sales'] });
  const second = await lab.call({ args: ['sales'] });
  const ids = [first, second].map(({ session }) => session.of('start')[0]?.callId as string);
  assert.equal(ids[0], 'sales');
  assert.notEqual(ids[1], 'sales');
  const shown = (await api(lab, 'GET', `/calls/${ids[1]}`)).body;
  assert.deepEqual([shown.channelId, shown.requestedCallId], [second.channel.id, 'sales']);
  assert.equal((await api(lab, 'GET', '/calls/sales')).body.channelId, first.channel.id);
  assert.equal((await api(lab, 'DELETE', `/calls/${ids[1]}`)).status, 202);
  await lab.ended();
  assert.equal(lab.ari.channels.has(second.channel.id), false);
  assert.equal((await api(lab, 'GET', '/calls/sales')).body.state, 'active');
  lab.ari.hangUp(first.channel.id);
  await lab.ended(1);
  // The id is free again: a dialplan may give each call the same one.
  const third = await lab.call({ args: ['sales'] });
  assert.equal(third.session.of('start')[0]?.callId, 'sales');
  lab.ari.hangUp(third.channel.id);
  await lab.ended(2);
});

test('a caller who chooses the id of another call, of a channel or of an order gets a new one', async (t) => {
  const lab = await startLab(t);
  const victim = await lab.call({ id: '1763800000.900' });
  const placed = await api(lab, 'POST', '/calls', ORDER);
  const wishes = ['1763800000.900', '1763800000.901', placed.body.channelId, 'c-1', 'pcm-1763800000.900~'];
  for (const [index, wish] of wishes.entries()) {
    const headers = { SIP_HEADERS: `X-Call-ID=${encodeURIComponent(wish)}` };
    const { id } = lab.ari.inbound({ id: `1763800000.${700 + index}`, variables: headers });
    const starts = () => lab.bot.sessions.map((session) => session.of('start')[0]);
    const start = await until(() => starts().find((one) => one?.channel_id === id), 'its start');
    assert.notEqual(start.callId, wish);
    assert.equal((await api(lab, 'GET', `/calls/${start.callId}`)).body.requestedCallId, wish);
  }
  assert.equal((await api(lab, 'GET', '/calls/1763800000.900')).body.channelId, victim.channel.id);
  assert.equal((await api(lab, 'GET', '/calls/c-1')).body.channelId, placed.body.channelId);
  await api(lab, 'DELETE', '/calls/c-1');
  await lab.ended();
  // Nor after it: the operator asks for it under this id.
  lab.ari.inbound({ id: '1763800000.800', args: ['c-1'] });
  await until(
    async () => (await api(lab, 'GET', '/calls/1763800000.800')).body?.requestedCallId === 'c-1',
    'new id',
  );
  assert.equal((await api(lab, 'GET', '/calls/c-1')).body.outcome, 'cancelled');
  for (const id of [...lab.ari.channels.keys()].filter((each) => !each.startsWith('pc'))) lab.ari.hangUp(id);
  await lab.ended(wishes.length + 2);
});

test('two dials of others with one id are two, and each callback names its own', async (t) => {
  const lab = await startLab(t);
  const [first, second] = [1, 2].map(() => lab.ari.originate({ variables: { X_CALL_ID: 'theirs' } }));
  const { body } = await until(async () => {
    const answer = await api(lab, 'GET', '/calls?state=ringing');
    return answer.body.calls.length === 2 && answer;
  }, 'both ring');
  assert.deepEqual(
    body.calls.map(({ callId }: { callId: string }) => callId).sort(),
    [second?.id, 'theirs'].sort(),
  );
  for (const channel of [first, second]) if (channel) lab.ari.dialFails(channel, 'BUSY', 17, 486);
});

test('the order of an id that a live call has is refused, not answered with that call', async (t) => {
  const lab = await startLab(t);
  const { channel } = await lab.call({ args: ['c-1'] });
  const answer = await api(lab, 'POST', '/calls', ORDER);
  assert.deepEqual([answer.status, answer.body.errors?.[0].field], [409, 'callId']);
  lab.ari.hangUp(channel.id);
  await lab.ended();
  // Its record has the id, too.
  assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 409);
  assert.equal(lab.ari.log().includes('POST /channels/create'), false);
});

test('another order under a known id is refused; the same order again is the call', async (t) => {
  const lab = await startLab(t);
  const answers = await Promise.all(
    [ORDER, { ...ORDER, to: '+4930777778' }].map((order) => api(lab, 'POST', '/calls', order)),
  );
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 409],
  );
  const later = await api(lab, 'POST', '/calls', { ...ORDER, to: '+4930777778' });
  assert.deepEqual([later.status, later.body.errors?.[0].field], [409, 'callId']);
  assert.equal((await api(lab, 'POST', '/calls', { ...ORDER, to: '030 777777' })).status, 200);
  await api(lab, 'DELETE', '/calls/c-1');
  await lab.ended();
  assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 200);
  assert.equal((await api(lab, 'POST', '/calls', { ...ORDER, to: '+4930777778' })).status, 409);
});

test('a Twilio bot’s hang-up ends its own call, though another was asked to have the same id', async (t) => {
  const lab = await startLab(t, { PIPECAT_DIALECT: 'twilio' });
  const channels = ['1', '2'].map(() => lab.ari.inbound({ args: ['sales'] }));
  const sessions = [await lab.session(0), await lab.session(1)];
  const sids = sessions.map(
    (session) => session.of('start').map(({ start }) => (start as { callSid: string }).callSid)[0],
  );
  assert.notEqual(sids[0], sids[1]);
  const url = `http://127.0.0.1:${lab.daemon.httpPort}/2010-04-01/Accounts/AC1/Calls/${sids[1]}.json`;
  const authorization = `Basic ${btoa(`AC1:${API_TOKEN}`)}`;
  const body = new URLSearchParams({ Status: 'completed' });
  assert.equal((await fetch(url, { method: 'POST', headers: { authorization }, body })).status, 200);
  const line = await lab.ended();
  const other = channels.find(({ id }) => id !== line.channelId);
  const bot = sessions[sids[1] === sids[0] ? 0 : 1];
  assert.ok(bot?.of('stop').length === 1, 'the bot that hung up');
  lab.ari.hangUp(other?.id ?? '');
  await lab.ended(1);
});

for (const [what, startsBeforeReply] of [
  ['after', false],
  ['before', true],
] as const) {
  test(`a call whose channel is being made is found and can be cancelled: no phone rings (in Stasis ${what} the reply)`, async (t) => {
    const lab = await startLab(t);
    lab.ari.startsBeforeReply = startsBeforeReply;
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<undefined>();
    lab.ari[startsBeforeReply ? 'after' : 'before'](/POST \/channels\/create/, () => {
      asked.resolve();
      return go.promise;
    });
    const placing = api(lab, 'POST', '/calls', ORDER);
    await asked.promise;
    const found = await api(lab, 'GET', '/calls/c-1');
    assert.equal(found.status, 200);
    assert.partialDeepStrictEqual(found.body, {
      callId: 'c-1',
      state: 'dialling',
      to: ORDER.to,
      direction: 'outbound',
    });
    assert.equal((await api(lab, 'GET', `/calls/${found.body.channelId}`)).body.callId, 'c-1');
    assert.equal((await api(lab, 'DELETE', '/calls/c-1')).status, 202);
    go.resolve(undefined);
    const { status, body } = await placing;
    assert.deepEqual([status, body.channelId], [202, found.body.channelId]);
    assert.partialDeepStrictEqual(await lab.ended(), {
      reason: { kind: 'api-hangup' },
      outcome: 'cancelled',
      by: 'operator',
    });
    assert.equal(
      lab.ari.log().some((line) => line.endsWith('/dial')),
      false,
      'never dialled',
    );
    assert.equal([...lab.ari.channels.keys()].length, 0);
    assert.equal((await api(lab, 'GET', '/calls/c-1')).body.outcome, 'cancelled');
  });
}
