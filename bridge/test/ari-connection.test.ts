import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { CallRecord } from '../src/records/record.ts';
import { FakeAri } from './fake-ari.ts';
import { Lab, speech, until } from './harness.ts';

async function reconnected(lab: Lab, times = 2): Promise<void> {
  await until(() => lab.logged('ARI connected').length >= times, 'ARI is back');
}

test('while ARI is not there the bridge lives, says what is wrong, and connects when it comes', async (t) => {
  const gone = await FakeAri.start();
  const { port } = gone;
  await gone.close();
  const lab = await Lab.start(t, { noWait: true, config: { ARI_URL: `http://127.0.0.1:${port}` } });
  assert.equal((await lab.get('/livez')).status, 200);
  await until(() => lab.logged('ARI not connected, trying again').length > 0, 'the first failure');
  const { status, body } = await lab.get('/readyz');
  assert.equal(status, 503);
  assert.match(body, /ECONNREFUSED/);
  const come = await FakeAri.start(port);
  t.after(() => come.close());
  await reconnected(lab, 1);
  const ready = await lab.get('/readyz');
  assert.equal(ready.status, 200);
  const predecessors = { processes: 0, calls: 0 };
  assert.deepEqual(JSON.parse(ready.body), { status: 'ready', problems: [], warnings: [], predecessors });
  assert.equal(lab.logged('ARI not connected, trying again').length, 1);
});

test('a wrong password is said to be one', async (t) => {
  const lab = await Lab.start(t, { noWait: true, config: { ARI_PASSWORD: 'a-wrong-one' } });
  await until(() => lab.logged('ARI not connected, trying again').length > 0, 'the refusal');
  const { status, body } = await lab.get('/readyz');
  assert.equal(status, 503);
  assert.match(body, /ARI_USERNAME and ARI_PASSWORD/);
  assert.doesNotMatch(body + JSON.stringify(lab.logs), /a-wrong-one/);
  assert.equal(await lab.metric('ari_up'), 0);
});

test('a call outlives a lost ARI socket', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const cutMs = performance.now();
  lab.ari.dropEvents();
  await reconnected(lab);
  t.diagnostic(`ready again after ${Math.round(performance.now() - cutMs)} ms`);
  session.speak(speech(3));
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 480, 'the bot is heard');
  assert.equal(lab.ari.bridges.size, 1);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  assert.equal(lab.bot.attempts, 1);
});

test('a call whose caller left while ARI was lost is released when it is back', async (t) => {
  const lab = await Lab.start(t);
  const { channel } = await lab.call();
  lab.ari.dropEvents();
  lab.ari.hangUp(channel.id);
  await reconnected(lab);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('a caller who waits in Stasis since ARI was lost is taken', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.dropEvents();
  const channel = lab.ari.inbound({ variables: { X_CALL_ID: 'waited' }, args: ['a', 'b'] });
  const session = await lab.session();
  assert.equal(session.query.get('call_id'), 'waited');
  assert.deepEqual(session.events[0]?.app_args, ['a', 'b']);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a call that begins while ARI is being asked what there is, is left alone', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.dropEvents();
  const listed = Promise.withResolvers<undefined>();
  let asked = false;
  lab.ari.after(/GET \/channels$/, () => {
    asked = true;
    return listed.promise;
  });
  await until(() => asked, 'the question');
  const { channel, session } = await lab.call();
  listed.resolve(undefined);
  await reconnected(lab);
  assert.equal(session.closed, undefined);
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.equal(lab.bot.attempts, 1);
});

test('what a former process left in Asterisk is removed, and what is not ours stays', async (t) => {
  const ari = await FakeAri.start();
  ari.bridges.set('pcb-old', new Set());
  ari.bridges.set('somebody-else', new Set());
  ari.add({ id: 'pcm-old~', state: 'Up', inStasis: true });
  ari.add({ id: 'other-app', state: 'Up' });
  await Lab.start(t, { ari });
  await until(() => !ari.bridges.has('pcb-old') && !ari.channels.has('pcm-old~'), 'the old things are gone');
  assert.equal(ari.bridges.has('somebody-else'), true);
  assert.equal(ari.channels.has('other-app'), true);
});

test('a caller of a former process is adopted, with ids that were in use', async (t) => {
  const ari = await FakeAri.start();
  const caller = ari.add({ id: 'old', state: 'Up', inStasis: true });
  ari.add({ id: 'pcm-old~', state: 'Up', inStasis: true });
  ari.bridges.set('pcb-old', new Set(['old', 'pcm-old~']));
  // The end of the old media channel is told when the new one, of the same name, is being made.
  const gone = ari.show(ari.add({ id: 'pcm-gone' }));
  ari.channels.delete('pcm-gone');
  ari.before(/POST \/channels\/externalMedia/, () => {
    ari.emit('ChannelDestroyed', { channel: { ...gone, id: 'pcm-old~' }, cause: 16 });
    return undefined;
  });
  const lab = await Lab.start(t, { ari });
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  await until(() => ari.membersOf('old')?.size === 2, 'caller and media are together');
  assert.deepEqual([...(ari.membersOf('old') ?? [])].sort(), ['old', ari.mediaIdOf('old')].sort());
  assert.notEqual(ari.mediaIdOf('old'), 'pcm-old~');
  assert.deepEqual(caller.done, []);
  ari.hangUp('old');
  await lab.ended();
});

/** Asterisk replies at once to a removal, and removes later: until then it refuses the same ids. */
function removesLater(ari: FakeAri, ids: RegExp): { readonly asked: Promise<void>; carryOut(): void } {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const late: string[] = [];
  ari.before(new RegExp(`^DELETE .*(${ids.source})`), ({ path }) => {
    late.push(path.split('/').at(-1) ?? '');
    resolve();
    return 204;
  });
  const carryOut = () => {
    for (const id of late.map(decodeURIComponent)) {
      ari.bridges.delete(id);
      if (ari.channels.has(id)) ari.hangUp(id);
    }
  };
  return { asked, carryOut };
}

for (const [of, mark] of [
  ['of this version', '0000abcd-1-old'],
  ['of version 0.1', 'old'],
] as const) {
  test(`a caller is adopted though the removal of what a former call left takes its time: ids ${of}`, async (t) => {
    const ari = await FakeAri.start();
    ari.add({ id: 'old', state: 'Up', inStasis: true });
    ari.add({ id: `pcm-${mark}~`, state: 'Up', inStasis: true });
    ari.bridges.set(`pcb-${mark}`, new Set(['old', `pcm-${mark}~`]));
    const removal = removesLater(ari, new RegExp(`/pc[bm]-${mark}~?$`));
    const lab = await Lab.start(t, { ari });
    await removal.asked;
    const session = await lab.session();
    await until(() => session.of('answered').length > 0, 'answered');
    removal.carryOut();
    assert.deepEqual(lab.logged('call ended'), []);
    ari.hangUp('old');
    await lab.ended();
  });
}

test('a caller who comes again is served though the removal of what their former call had takes its time', async (t) => {
  const lab = await Lab.start(t);
  const { channel } = await lab.call();
  const former = [...lab.ari.ownOf(channel.id, 'pcb'), ...lab.ari.ownOf(channel.id, 'pcm')];
  assert.equal(former.length, 2);
  const removal = removesLater(lab.ari, new RegExp(former.join('|')));
  lab.ari.emit('StasisEnd', { channel: lab.ari.show(channel) });
  await lab.ended();
  await removal.asked;
  lab.ari.emit('StasisStart', { channel: lab.ari.show(channel), args: [] });
  const session = await lab.session(1);
  await until(() => session.of('answered').length > 0, 'answered');
  removal.carryOut();
  assert.equal(lab.logged('call ended').length, 1);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('a reconciliation that fails is done again', async (t) => {
  const ari = await FakeAri.start();
  ari.bridges.set('pcb-old', new Set());
  let failures = 2;
  ari.before(/GET \/bridges$/, () => (failures-- > 0 ? 500 : undefined));
  await Lab.start(t, { ari });
  await until(() => !ari.bridges.has('pcb-old'), 'the old bridge is gone');
});

test('a comparison that fails again and again: the readiness says why, each time', async (t) => {
  const ari = await FakeAri.start();
  let failures = 0;
  let isBroken = true;
  ari.before(/GET \/bridges$/, () => {
    failures += 1;
    return isBroken ? 500 : undefined;
  });
  const lab = await Lab.start(t, { ari, noWait: true });
  await until(() => failures >= 3, 'failed three times');
  await until(async () => /GET \/bridges: 500/.test((await lab.get('/readyz')).body), 'says why');
  isBroken = false;
  await until(() => lab.logged('ARI connected')[0], 'ARI connected');
});

test('a removal that failed is done by the next comparison', async (t) => {
  const lab = await Lab.start(t, { config: { RECONCILE_MS: '200' } });
  let failures = 1;
  lab.ari.before(/DELETE \/bridges/, () => (failures-- > 0 ? 500 : undefined));
  const { channel } = await lab.call();
  lab.ari.hangUp(channel.id);
  await lab.ended();
  await until(() => lab.ari.bridges.size === 0, 'the bridge is gone');
});

test('a media channel without a call is removed', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.enterStasis(lab.ari.add({ id: 'pcm-nobody', state: 'Up' }));
  await until(() => !lab.ari.channels.has('pcm-nobody'), 'it is gone');
});

test('a bridge whose app was taken without asking raises an alarm and does not fight', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.before(/^POST \/events\/user\/handover-/, () => 404);
  const other = await Lab.start(t, { config: { ARI_URL: `http://127.0.0.1:${lab.ari.port}` } });
  await until(() => lab.logged('the Stasis app was taken over by another process').length > 0, 'the alarm');
  const { status, body } = await lab.get('/readyz');
  assert.equal(status, 503);
  assert.match(body, /taken over/);
  assert.equal((await other.get('/readyz')).status, 200);
  assert.equal(lab.logged('ARI connected').length, 1);
});

test('events that nobody can read are passed over', async (t) => {
  const lab = await Lab.start(t);
  for (const text of ['no json', '{}', '{"type":"StasisStart"}', '{"type":"FromTheFuture"}', '[]', 'null']) {
    lab.ari.emitText(text);
  }
  const { channel } = await lab.call();
  assert.equal(lab.logged('ARI event could not be read').length, 5);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a caller over MAX_CALLS goes on in the dialplan, and the readiness says why', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  const { channel } = await lab.call();
  assert.match((await lab.get('/readyz')).body, /MAX_CALLS/);
  const second = lab.ari.inbound();
  await until(() => second.continued, 'the second goes on');
  assert.equal(second.variables.PIPECAT_STATUS, 'at-capacity');
  const refused = await until(() => lab.logged('call record')[0]?.record as CallRecord, 'its record');
  assert.partialDeepStrictEqual(refused, {
    channelId: second.id,
    direction: 'inbound',
    state: 'closed',
    endedBy: 'bridge',
    endReason: 'refused',
    endDetail: 'at-capacity',
  });
  lab.ari.before(/POST .*variable$/, () => 500);
  const third = lab.ari.inbound();
  await until(() => third.continued, 'the third goes on too');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const { channel: fourth } = await lab.call();
  lab.ari.hangUp(fourth.id);
  await lab.ended(1);
});

test('a call is over after MAX_CALL_DURATION_S', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALL_DURATION_S: '1' } });
  const { channel } = await lab.call();
  assert.equal((await lab.ended()).reason.kind, 'max-duration');
  assert.equal(lab.ari.channels.has(channel.id), false);
});

test('a call without RTP from Asterisk is over after MEDIA_TIMEOUT_MS', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS: '200' } });
  const { channel } = await lab.call();
  assert.equal((await lab.ended()).reason.kind, 'media-timeout');
  assert.equal(lab.ari.channels.has(channel.id), false);
});

test('stop ends calls in every state and leaves nothing behind', async (t) => {
  const lab = await Lab.start(t);
  const { channel: up, session } = await lab.call();
  lab.bot.decide = () => 'never';
  const ringing = lab.ari.inbound();
  await until(() => lab.bot.attempts === 2, 'the second call is being set up');
  const fresh = lab.ari.inbound();
  await until(() => lab.logged('call started').length === 3, 'the third call begins');
  await lab.stop();
  assert.deepEqual(
    [...lab.ari.channels.values()].filter(({ continued }) => !continued),
    [],
    'each caller is back in the dialplan',
  );
  assert.equal(session.closed, 1000);
  assert.equal(session.of('hangup')[0]?.reason, 'shutdown');
  const reasons = lab
    .logged('call ended')
    .map(({ channelId, reason }) => [channelId, (reason as { kind: string }).kind]);
  assert.deepEqual(
    new Map(reasons as [string, string][]),
    new Map([up, ringing, fresh].map(({ id }) => [id, 'shutdown'])),
  );
});

test('stop while the variables of a caller are asked for does not leave them in Stasis', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.showsVariables = false;
  const answer = Promise.withResolvers<undefined>();
  lab.ari.before(/GET .*variable$/, () => answer.promise);
  const channel = lab.ari.inbound();
  await until(() => lab.ari.log().some((line) => /GET .*variable$/.test(line)), 'the questions');
  const stopped = lab.stop();
  answer.resolve(undefined);
  await stopped;
  assert.equal(channel.continued, true);
  assert.equal(channel.variables.PIPECAT_STATUS, 'shutdown');
});

test('two bridges in one process do not disturb each other', async (t) => {
  const first = await Lab.start(t);
  const second = await Lab.start(t);
  const one = await first.call();
  const two = await second.call();
  one.session.speak(speech(3, 1));
  two.session.speak(speech(3, 2));
  const heard = [first.ari.mediaOf(one.channel.id), second.ari.mediaOf(two.channel.id)];
  await until(() => heard.every((rtp) => rtp.speech().length >= 480), 'both bots');
  assert.deepEqual(
    heard.map((rtp) => rtp.speech()),
    [speech(3, 1), speech(3, 2)],
  );
  await first.stop();
  two.session.speak(speech(2, 3));
  await until(() => heard[1]?.speech().includes(speech(2, 3)), 'the second bot goes on');
  second.ari.hangUp(two.channel.id);
  await second.ended();
});

test('ten calls at once each hear their own bot', async (t) => {
  const lab = await Lab.start(t);
  lab.bot.onSession = (session) => session.speak(speech(4, Number(session.query.get('call_id'))));
  const channels = Array.from({ length: 10 }, (_, i) => lab.ari.inbound({ args: [String(i)] }));
  await until(() => lab.ari.log().filter((line) => line.endsWith('/answer')).length === 10, 'ten answers');
  for (const [i, channel] of channels.entries()) {
    const rtp = lab.ari.mediaOf(channel.id);
    await until(() => rtp.speech().length >= 640, `bot ${i}`);
    assert.deepEqual(rtp.speech(), speech(4, i));
    lab.ari.hangUp(channel.id);
  }
  await lab.ended(9);
});

test('a connection that ends before its heartbeat has begun does not end the next one', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_HEARTBEAT_MS: '100' } });
  const replied = Promise.withResolvers<undefined>();
  let asked = 0;
  lab.ari.before(/PUT \/applications\/pipecat\/eventFilter/, () => {
    asked += 1;
    return asked === 1 ? replied.promise : undefined;
  });
  lab.ari.dropEvents();
  await until(() => asked === 1, 'the filter is being set');
  lab.ari.dropEvents();
  await reconnected(lab);
  replied.resolve(undefined);
  const { takeovers } = lab.ari;
  // Three intervals, in which a beat must have come back.
  await delay(800);
  assert.equal(lab.ari.takeovers, takeovers);
});

test('an app that becomes active some time after its socket has opened: nobody is taken up before', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_HEARTBEAT_MS: '200' } });
  lab.ari.appDelayMs = 300;
  lab.ari.dropEvents();
  const channel = lab.ari.inbound();
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'the caller is answered', 2_000);
  assert.equal(lab.ari.takeovers, 2);
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});
