/**
 * A callee's side answers an originated call with 3xx. Asterisk then calls the Contact by itself.
 * Nobody has ordered that call.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';

const RECONCILE_MS = 250;
const CALL_ID = 'c-forwarded';

function start(t: TestContext, config: Record<string, string> = {}): Promise<Lab> {
  return Lab.start(t, { config: { RECONCILE_MS: String(RECONCILE_MS), API_TOKEN, ...config } });
}

function originate(lab: Lab): FakeChannel {
  return lab.ari.originate({ args: [CALL_ID], from: '+4930111', variables: { X_CALL_ID: CALL_ID } });
}

/** What happens meanwhile nobody hears of. */
function unheard<T>(lab: Lab, happens: () => T): T {
  const { emit } = lab.ari;
  lab.ari.emit = () => {};
  const result = happens();
  lab.ari.emit = emit;
  return result;
}

async function hungUp(lab: Lab, ...legs: FakeChannel[]): Promise<void> {
  for (const { id } of legs) await until(() => !lab.ari.channels.has(id), 'the leg is hung up');
}

/** All that there is to tell: one dial that failed with 302. */
async function expectOneFailure(lab: Lab, forwards: number, record: object = {}): Promise<void> {
  await delay(2 * RECONCILE_MS);
  const { calls } = (await api(lab, 'GET', '/calls?limit=100')).body;
  assert.equal(calls.length, 1);
  const expected = { callId: CALL_ID, state: 'closed', outcome: 'failed', sipStatus: 302, ...record };
  assert.partialDeepStrictEqual(calls[0], expected);
  assert.equal(lab.bot.attempts, 0);
  assert.equal(await lab.metric('forwards_refused_total'), forwards);
  assert.equal(lab.logged('a callee’s side forwards a call: this is refused').length, forwards);
  assert.equal(lab.logs.filter((line) => JSON.stringify(line).includes('+4930999')).length, 0);
}

test('the leg that Asterisk dials for a forward is hung up at once', async (t) => {
  const lab = await start(t);
  const leg = lab.ari.forwards(originate(lab));
  await hungUp(lab, leg);
  await expectOneFailure(lab, 1);
  const [line] = lab.logged('a callee’s side forwards a call: this is refused');
  assert.partialDeepStrictEqual(line, {
    provider: 'pb_fintech',
    to: { channelId: leg.id, provider: 'other' },
  });
});

test('what its phone does meanwhile is no news: it rings, answers, is forwarded in turn', async (t) => {
  const lab = await start(t);
  lab.ari.before(/^DELETE \/channels\//, async () => {
    await delay(50);
    return undefined;
  });
  const uncork = lab.ari.corked();
  const leg = lab.ari.forwards(originate(lab));
  lab.ari.rings(leg);
  lab.ari.answered(leg);
  uncork();
  await hungUp(lab, leg);
  await expectOneFailure(lab, 1);
});

test('a leg of a leg is hung up too', async (t) => {
  const lab = await start(t);
  const uncork = lab.ari.corked();
  const second = lab.ari.forwards(originate(lab));
  const third = lab.ari.forwards(second, '+4930998@pb_fintech');
  uncork();
  await hungUp(lab, third);
  await expectOneFailure(lab, 2);
});

test('what Asterisk could not hang up is hung up by the next comparison', async (t) => {
  const lab = await start(t);
  let fails = 1;
  lab.ari.before(/^DELETE \/channels\//, () => (fails-- > 0 ? 500 : undefined));
  const leg = lab.ari.forwards(originate(lab));
  await hungUp(lab, leg);
  await expectOneFailure(lab, 1);
});

test('a forward to where Asterisk can call nobody is a failure all the same', async (t) => {
  const lab = await start(t);
  lab.ari.emitForward(originate(lab), '+4930999');
  await until(() => lab.logged('dial failed')[0], 'its end');
  await expectOneFailure(lab, 1);
});

for (const noted of [300, 301, 302, 305, undefined]) {
  test(`a forward has failed, whether or not Asterisk has noted its status (${noted})`, async (t) => {
    const lab = await start(t);
    await hungUp(lab, lab.ari.forwards(originate(lab), 'other', noted));
    await expectOneFailure(lab, 1, { sipStatus: noted ?? 302, cause: 23 });
  });
}

test('what the operator’s dialplan dials may be forwarded', async (t) => {
  const lab = await start(t);
  const { channel } = await lab.call();
  const leg = lab.ari.add({ name: 'PJSIP/other-00000001', state: 'Down', isOriginated: true });
  const peer = lab.ari.show(leg);
  const caller = lab.ari.show(channel);
  const forward = 'PJSIP/+4930999@other';
  lab.ari.emit('Dial', { peer, caller, dialstatus: 'CANCEL', forward, forwarded: peer });
  await delay(2 * RECONCILE_MS);
  assert.ok(lab.ari.channels.has(leg.id));
  lab.ari.hangUp(leg.id);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

for (const [what, happens] of [
  ['rings', (lab: Lab, leg: FakeChannel) => lab.ari.rings(leg)],
  ['has been answered', (lab: Lab, leg: FakeChannel) => lab.ari.answered(leg)],
] as const) {
  test(`a leg that ${what} is found also when nobody heard of the forward`, async (t) => {
    const lab = await start(t);
    const channel = originate(lab);
    const leg = unheard(lab, () => {
      const forwarded = lab.ari.forwards(channel);
      happens(lab, forwarded);
      return forwarded;
    });
    await hungUp(lab, leg);
    await expectOneFailure(lab, 1);
  });
}

test('the chain of a forward that nobody heard of', async (t) => {
  const lab = await start(t);
  const channel = originate(lab);
  const leg = unheard(lab, () => lab.ari.forwards(lab.ari.forwards(channel)));
  await hungUp(lab, leg);
  await expectOneFailure(lab, 1);
});

test('a call that somebody placed meanwhile is none', async (t) => {
  const lab = await start(t);
  const channel = originate(lab);
  const [leg, ...others] = unheard(lab, () => {
    const forwarded = lab.ari.forwards(channel);
    const withNumber = lab.ari.originate({ args: ['c-2'] });
    const withId = lab.ari.originate({ args: [CALL_ID], from: '', variables: { X_CALL_ID: 'c-3' } });
    for (const one of [forwarded, withNumber, withId]) lab.ari.answered(one);
    return [forwarded, withNumber, withId];
  });
  assert.ok(leg);
  await hungUp(lab, leg);
  await until(() => lab.bot.sessions.length === 2, 'both are served');
  for (const { id } of others) lab.ari.hangUp(id);
  await lab.ended(1);
  assert.equal(await lab.metric('forwards_refused_total'), 1);
});

test('a caller who came by a dialplan of the operator’s own meanwhile is none', async (t) => {
  const lab = await start(t);
  const channel = originate(lab);
  const caller = unheard(lab, () => {
    lab.ari.dialFails(channel, 'BUSY', 17, 486);
    return lab.ari.inbound({ to: 's', args: [] });
  });
  await until(() => lab.bot.sessions.length === 1, 'they are served');
  lab.ari.hangUp(caller.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  assert.equal(await lab.metric('forwards_refused_total'), 0);
});

test('a leg that takes its time to end is no dial, whatever is told of it', async (t) => {
  const lab = await start(t);
  // Asterisk has taken the request, and the channel is there for a moment more.
  let taken = 0;
  lab.ari.before(/^DELETE \/channels\//, () => {
    taken += 1;
    return 204;
  });
  const leg = lab.ari.forwards(originate(lab));
  await until(() => taken > 0, 'it is hung up');
  await delay(3 * RECONCILE_MS);
  lab.ari.tellDial(leg, 'RINGING');
  await delay(RECONCILE_MS);
  lab.ari.hangUp(leg.id);
  await expectOneFailure(lab, 1);
});

test('a leg that ends late, undialled as far as it shows, was nobody’s dial', async (t) => {
  const lab = await start(t);
  lab.ari.before(/^DELETE \/channels\//, () => 204);
  const leg = lab.ari.forwards(originate(lab));
  await delay(3 * RECONCILE_MS);
  lab.ari.hangUp(leg.id);
  await expectOneFailure(lab, 1);
});
