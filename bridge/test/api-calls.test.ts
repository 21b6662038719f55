import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { api, listen } from './api-client.ts';
import { ORDER, PROVIDER, place, startLab } from './api-lab.ts';
import { FakeAri } from './fake-ari.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { speech, until } from './harness.ts';

describe('a call that is placed', () => {
  test('rings while its bot is connected; start goes out on answer, and the bot is heard at once', async (t) => {
    const lab = await startLab(t);
    const receiver = await FakeReceiver.start('callback-secret');
    t.after(() => receiver.close());
    const channel = await place(lab, {
      to: '030 777777',
      ringTimeoutSeconds: 20,
      tenant: 'bank',
      callbackUrl: receiver.url,
      variables: { AGENT_ID: 'a-7', plan: 'gold & silver' },
    });
    const create = lab.ari.requests.find(({ path }) => path === '/channels/create');
    assert.equal(create?.query.get('endpoint'), 'PJSIP/030777777@pb_fintech');
    assert.equal(channel.ringSeconds, 20);
    assert.equal(channel.variables['CONNECTEDLINE(num)'], '030111');
    await until(() => lab.bot.sessions.length === 1, 'the bot is connected');
    lab.ari.rings(channel);
    const ringing = await until(async () => {
      const { body } = await api(lab, 'GET', '/calls/c-1');
      return body.state === 'ringing' && body;
    }, 'ringing');
    assert.partialDeepStrictEqual(ringing, { to: '+4930777777', from: '+4930111', direction: 'outbound' });
    assert.deepEqual(lab.bot.sessions[0]?.events, [], 'no word to the bot while it rings');
    lab.ari.picksUp(channel);
    const session = await lab.session();
    await until(() => session.of('answered').length > 0, 'answered');
    assert.deepEqual(
      session.events.slice(0, 2).map(({ event }) => event),
      ['start', 'answered'],
    );
    assert.partialDeepStrictEqual(session.events[0], {
      callId: 'c-1',
      to: '+4930777777',
      from: '+4930111',
      direction: 'outbound',
      tenant: 'bank',
      variables: { AGENT_ID: 'a-7', plan: 'gold & silver' },
      custom_vars: { plan: 'gold & silver' },
    });
    session.speak(speech(3));
    const rtp = lab.ari.mediaOf(channel.id);
    await until(() => rtp.speech().length >= 480, 'the bot is heard');
    assert.deepEqual(channel.done, ['dial'], 'neither ringing nor answer is sent to a callee');
    session.send({ event: 'hangup' });
    await lab.ended();
    await until(() => receiver.callbacks.length > 0, 'the callback');
    assert.partialDeepStrictEqual(receiver.callbacks[0]?.fields, {
      call_id: 'c-1',
      call_sid: channel.id,
      status: 'completed',
      outcome: 'answered',
    });
  });

  test('twice under one id is one call, at the same time too', async (t) => {
    const lab = await startLab(t);
    const answers = await Promise.all([1, 2, 3].map(() => api(lab, 'POST', '/calls', ORDER)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 202]);
    assert.equal(new Set(answers.map(({ body }) => body.channelId)).size, 1);
    const later = await api(lab, 'POST', '/calls', { ...ORDER, to: 'no number at all' });
    assert.equal(later.status, 200);
    assert.equal(lab.ari.log().filter((line) => line === 'POST /channels/create').length, 1);
    await api(lab, 'DELETE', '/calls/c-1');
    await lab.ended();
  });

  test('stays ended, whatever Asterisk says of its answer afterwards', async (t) => {
    const lab = await startLab(t);
    const { received, stop } = await listen(lab);
    const looked = Promise.withResolvers<undefined>();
    let isAsked = false;
    lab.ari.after(/GET .*rtp_statistics$/, () => {
      isAsked = true;
      return looked.promise;
    });
    lab.ari.picksUp(await place(lab));
    await until(() => isAsked, 'looked at the answer');
    await api(lab, 'DELETE', '/calls/c-1');
    await lab.ended();
    looked.resolve(undefined);
    await delay(200);
    assert.equal(received.at(-1)?.event, 'call.ended');
    assert.equal((await api(lab, 'GET', '/calls/c-1')).body.endReason, 'api-hangup');
    stop();
  });

  test('survives that Asterisk’s reply is lost: the retry finds the channel', async (t) => {
    const lab = await startLab(t, PROVIDER, { config: { ARI_TIMEOUT_MS: '300' } });
    let lost = 0;
    lab.ari.after(/POST \/channels\/create/, () => (lost++ === 0 ? 'never' : undefined));
    const channel = await place(lab);
    assert.equal(lost, 2);
    lab.ari.picksUp(channel);
    await lab.session();
    lab.ari.hangUp(channel.id);
    assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  });

  test('is known again after a restart of the bridge, and taken when it is answered', async (t) => {
    const ari = await FakeAri.start();
    const listed = Promise.withResolvers<undefined>();
    ari.after(/GET \/channels$/, () => listed.promise);
    const channel = ari.add({
      id: `pc-${'0'.repeat(32)}`,
      state: 'Ringing',
      isOriginated: true,
      inStasis: true,
      args: ['c-9'],
      variables: { X_CALL_ID: 'c-9' },
    });
    const lab = await startLab(t, PROVIDER, { ari, noWait: true });
    await until(() => ari.log().includes('GET /channels'), 'the question');
    // Until Asterisk has said what it holds, nobody could tell this call from a new one.
    assert.match((await lab.get('/readyz')).body, /what Asterisk holds is not known yet/);
    assert.equal((await api(lab, 'POST', '/calls', { ...ORDER, callId: 'c-9' })).status, 503);
    listed.resolve(undefined);
    await until(async () => (await lab.get('/readyz')).status === 200, 'ready');
    const again = await api(lab, 'POST', '/calls', { ...ORDER, callId: 'c-9' });
    assert.equal(again.status, 200);
    assert.partialDeepStrictEqual(again.body, {
      callId: 'c-9',
      channelId: channel.id,
      direction: 'outbound',
    });
    lab.ari.picksUp(channel);
    const session = await lab.session();
    assert.equal(session.query.get('call_id'), 'c-9');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  for (const [what, cause, sipStatus, outcome] of [
    ['is busy', 17, 486, 'busy'],
    ['is unknown', 1, 404, 'invalid-number'],
    ['does not answer in time', 0, undefined, 'no-answer'],
  ] as const) {
    test(`to a callee who ${what} ends as ${outcome}, and its bot, which has had no start, is told nothing`, async (t) => {
      const lab = await startLab(t);
      const events = await listen(lab);
      t.after(events.stop);
      const channel = await place(lab);
      // The bot knows before we do.
      await until(async () => (await lab.metric('bot_connections')) === 1, 'the bot is connected');
      lab.ari.rings(channel);
      lab.ari.dialFails(channel, 'NOANSWER', cause, sipStatus);
      const line = await lab.ended();
      assert.partialDeepStrictEqual(line, { reason: { kind: 'not-answered' }, outcome });
      const session = lab.bot.sessions[0];
      await until(() => session?.closed !== undefined, 'the bot is let go');
      assert.equal(session?.closed, 1000);
      assert.deepEqual(session?.events, []);
      const ended = await until(() => events.received.find(({ event }) => event === 'call.ended'), 'told');
      assert.partialDeepStrictEqual(ended.data.call, { callId: 'c-1', outcome, state: 'closed' });
      assert.equal(ended.data.call.sipStatus, sipStatus);
      assert.equal(await lab.metric(`dials_failed_total{outcome="${outcome}"}`), 1);
    });
  }

  for (const dialect of ['native', 'twilio']) {
    test(`says nothing to a ${dialect} bot before its start, whatever the bot says`, async (t) => {
      const lab = await startLab(t, `${PROVIDER}PIPECAT_DIALECT_OUTBOUND=${dialect}\n`);
      const channel = await place(lab);
      await until(async () => (await lab.metric('bot_connections')) === 1, 'the bot is connected');
      lab.ari.rings(channel);
      const session = lab.bot.sessions[0];
      const early = [
        { event: 'mark', name: 'm', mark: { name: 'm' } },
        { event: 'clear' },
        { event: 'recording', state: 'pause' },
        { event: 'transfer', to: '+4930999' },
        'no json',
      ];
      for (const message of early) session?.send(message);
      await until(() => lab.logged("the bot's message is refused: not-json").length > 0, 'all of it read');
      lab.ari.dialFails(channel, 'NOANSWER', 0, undefined);
      await lab.ended();
      await until(() => session?.closed !== undefined, 'the bot is let go');
      assert.equal(session?.closed, 1000);
      assert.deepEqual(session?.events, []);
    });
  }

  test('can be cancelled while it rings', async (t) => {
    const lab = await startLab(t);
    const channel = await place(lab);
    lab.ari.rings(channel);
    const { status, body } = await api(lab, 'DELETE', '/calls/c-1');
    assert.equal(status, 202);
    assert.equal(body.callId, 'c-1');
    assert.partialDeepStrictEqual(await lab.ended(), {
      reason: { kind: 'api-hangup' },
      outcome: 'cancelled',
      by: 'operator',
      answered: false,
    });
    assert.equal(lab.ari.channels.has(channel.id), false);
  });

  test('whose bot is not there stops ringing, and failed', async (t) => {
    const lab = await startLab(t, PROVIDER, { config: { BOT_CONNECT_TRIES: '1' } });
    lab.bot.decide = () => 503;
    await api(lab, 'POST', '/calls', ORDER);
    assert.partialDeepStrictEqual(await lab.ended(), {
      reason: { kind: 'bot-unavailable' },
      outcome: 'failed',
    });
    assert.equal([...lab.ari.channels.keys()].length, 0);
  });

  test('that Asterisk never reports on ends with the ring time', async (t) => {
    const lab = await startLab(t, PROVIDER, { config: { ARI_TIMEOUT_MS: '200' } });
    const channel = await place(lab, { ringTimeoutSeconds: 1 });
    assert.partialDeepStrictEqual(await lab.ended(), {
      reason: { kind: 'not-answered' },
      outcome: 'no-answer',
    });
    assert.equal(lab.ari.channels.has(channel.id), false);
  });

  test('whose channel is being made when the bridge stops leaves nothing behind', async (t) => {
    const lab = await startLab(t);
    const asked = Promise.withResolvers<void>();
    lab.ari.before(/POST \/channels\/create/, async () => {
      asked.resolve();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return undefined;
    });
    const placing = api(lab, 'POST', '/calls', ORDER).catch(() => {});
    await asked.promise;
    await lab.stop();
    await placing;
    assert.deepEqual([...lab.ari.channels.keys()], []);
    assert.equal((await lab.ended()).reason.kind, 'shutdown');
  });

  test('lasts no longer than its order says', async (t) => {
    const lab = await startLab(t);
    const channel = await place(lab, { maxDurationSeconds: 1 });
    lab.ari.picksUp(channel);
    assert.equal((await lab.ended()).reason.kind, 'max-duration');
  });

  test('takes keys, and is hung up by the operator', async (t) => {
    const lab = await startLab(t);
    const channel = await place(lab);
    assert.equal((await api(lab, 'POST', '/calls/c-1/dtmf', { digits: '1' })).status, 409);
    lab.ari.picksUp(channel);
    await lab.session();
    await until(async () => (await api(lab, 'GET', '/calls/c-1')).body.state === 'active', 'active');
    assert.equal((await api(lab, 'POST', '/calls/c-1/dtmf', { digits: '12#' })).status, 202);
    await until(() => channel.done.includes('dtmf 12#'), 'the keys are sent');
    assert.deepEqual((await api(lab, 'POST', '/calls/c-1/recording', { state: 'pause' })).body, {
      state: 'off',
    });
    const costly = await api(lab, 'POST', '/calls/c-1/transfer', { to: '+8821234567' });
    assert.deepEqual([costly.status, costly.body.errors?.[0].field], [422, 'to']);
    const nowhere = await api(lab, 'POST', '/calls/c-1/transfer', {
      to: '1',
      mode: 'dialplan',
      context: 'x',
    });
    assert.deepEqual([nowhere.status, nowhere.body.errors?.[0].field], [422, 'context']);
    assert.equal((await api(lab, 'DELETE', `/calls/${channel.id}`)).status, 202);
    assert.equal((await lab.ended()).reason.kind, 'api-hangup');
  });
});

describe('a call that is not placed', () => {
  for (const [what, order, field, reason] of [
    ['an unknown provider', { provider: 'nobody' }, 'provider', /no provider/],
    ['no number', { to: 'bot' }, 'to', /E\.164/],
    ['a number that costs', { to: '+8821234567' }, 'to', /ALLOWED_PREFIXES/],
    ['a bad number of ours', { from: 'a b\r\nX: y' }, 'from', /number/],
    ['a time that is no number', { ringTimeoutSeconds: 'long' }, 'ringTimeoutSeconds', /number/],
    ['too long a time', { maxDurationSeconds: 80_000 }, 'maxDurationSeconds', /MAX_CALL_DURATION_S/],
    ['a bad id', { callId: 'a,b' }, 'callId', /letters/],
    ['a field that is not known', { priority: 1 }, 'priority', /nrecognized/],
    ['a function of Asterisk', { variables: { 'SHELL(ls)': 'x' } }, 'variables.SHELL(ls)', /name/],
    ['a callback that is no web address', { callbackUrl: 'file:///etc/passwd' }, 'callbackUrl', /http/],
  ] as const) {
    test(`${what} is refused with 422, by field and reason`, async (t) => {
      const lab = await startLab(t);
      const { status, headers, body } = await api(lab, 'POST', '/calls', { ...ORDER, ...order });
      assert.equal(status, 422, JSON.stringify(body));
      assert.equal(headers.get('content-type')?.split(';')[0], 'application/problem+json');
      assert.equal(body.status, 422);
      assert.equal(body.errors[0].field, field);
      assert.match(body.errors[0].reason, reason);
      assert.equal(lab.ari.log().includes('POST /channels/create'), false);
    });
  }

  test('over a provider’s limits: 429, and when to try again', async (t) => {
    const lab = await startLab(t, `${PROVIDER}OUTBOUND_MAX_CALLS=2\nOUTBOUND_CALLS_PER_SECOND=0.5\n`);
    await place(lab, { callId: 'a' });
    const soon = await api(lab, 'POST', '/calls', { ...ORDER, callId: 'b' });
    assert.equal(soon.status, 429);
    assert.match(soon.body.detail, /OUTBOUND_CALLS_PER_SECOND/);
    const waitS = Number(soon.headers.get('retry-after'));
    assert.ok(waitS >= 1 && waitS <= 2, `${waitS} s`);
    await until(
      async () => (await api(lab, 'POST', '/calls', { ...ORDER, callId: 'b' })).status === 202,
      'b',
    );
    const full = await api(lab, 'POST', '/calls', { ...ORDER, callId: 'c' });
    assert.equal(full.status, 429);
    assert.match(full.body.detail, /OUTBOUND_MAX_CALLS/);
    await api(lab, 'DELETE', '/calls/a');
    await api(lab, 'DELETE', '/calls/b');
    await lab.ended(1);
  });

  test('while Asterisk is away: 503; where it refuses: 502, and no call is left', async (t) => {
    const lab = await startLab(t);
    lab.ari.before(/POST \/channels\/create/, () => 500);
    assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 502);
    assert.equal((await api(lab, 'GET', '/calls/c-1')).status, 404);
    lab.ari.password = 'changed';
    lab.ari.dropEvents();
    await until(() => lab.logged('ARI not connected, trying again').length > 0, 'down');
    const { status, headers } = await api(lab, 'POST', '/calls', ORDER);
    assert.equal(status, 503);
    assert.notEqual(headers.get('retry-after'), null);
  });

  for (const removal of ['after it', 'before it', 'never'] as const) {
    test(`Asterisk stalls and makes the channel late; the removal comes ${removal}: 504, then the same id can be placed`, async (t) => {
      const lab = await startLab(t, PROVIDER, { config: { ARI_TIMEOUT_MS: '300', RECONCILE_MS: '400' } });
      const events = await listen(lab);
      t.after(events.stop);
      const wakes = Promise.withResolvers<undefined>();
      let isStalled = true;
      lab.ari.before(/POST \/channels\/create/, async () => (isStalled ? await wakes.promise : undefined));
      lab.ari.before(/DELETE \/channels\/pc-/, async () => {
        if (!isStalled || removal === 'before it') return undefined;
        await wakes.promise;
        if (removal === 'never') return 'never';
        await delay(100);
        return undefined;
      });
      assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 504);
      const made = Promise.withResolvers<undefined>();
      lab.ari.after(/POST \/channels\/create/, () => {
        made.resolve(undefined);
        return undefined;
      });
      wakes.resolve(undefined);
      await made.promise;
      isStalled = false;
      await until(() => lab.ari.channels.size === 0, 'the late channel is removed');
      await delay(200);
      assert.deepEqual(events.received, []);
      assert.equal((await api(lab, 'GET', '/calls/c-1')).status, 404);
      const channel = await place(lab);
      lab.ari.dialFails(channel, 'BUSY', 17, 486);
      assert.equal((await lab.ended()).outcome, 'busy');
    });
  }

  test('an id whose late channel is still there: it is removed, and the order placed', async (t) => {
    const lab = await startLab(t, PROVIDER, { config: { ARI_TIMEOUT_MS: '300' } });
    let isStalled = true;
    lab.ari.after(/POST \/channels\/create/, () => (isStalled ? 'never' : undefined));
    lab.ari.before(/DELETE \/channels\/pc-/, () => (isStalled ? 'never' : undefined));
    assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 504);
    isStalled = false;
    assert.equal(lab.ari.channels.size, 1);
    const channel = await place(lab);
    lab.ari.dialFails(channel, 'BUSY', 17, 486);
    assert.equal((await lab.ended()).outcome, 'busy');
  });
});
