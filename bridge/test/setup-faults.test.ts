/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';
import { SETUP_STEPS } from './setup-steps.ts';

/** Runs `act` at the nth request that matches, before or after it takes effect. */
function at(
  lab: Lab,
  when: 'before' | 'after',
  { pattern, nth = 1 }: { pattern: RegExp; nth?: number },
  act: () => number | 'never' | undefined,
): void {
  let count = 0;
  lab.ari[when](pattern, () => {
    count += 1;
    return count === nth ? act() : undefined;
  });
}

// Each test has a bridge of its own and mostly waits: several at once take no longer than one.
describe('the set-up of a call', { concurrency: 6 }, () => {
  for (const when of ['before', 'after'] as const) {
    for (const step of SETUP_STEPS) {
      test(`a caller who hangs up ${when} ${step.step} leaves nothing behind`, async (t) => {
        const lab = await Lab.start(t);
        let channel: FakeChannel | undefined;
        at(lab, when, step, () => {
          lab.ari.hangUp(channel?.id ?? '', 16);
          return undefined;
        });
        channel = lab.ari.inbound();
        const ended = await lab.ended();
        assert.equal(ended.reason.kind, 'caller-hangup');
        assert.equal(ended.level, 30);
        assert.equal(channel.continued, false);
      });
    }
  }

  for (const step of SETUP_STEPS.slice(2)) {
    for (const fault of [500, 404, 'never'] as const) {
      // These are asked for again.
      if (fault === 'never' && ['the answer', 'joining the caller'].includes(step.step)) continue;
      const what = fault === 'never' ? 'gets no reply' : `is refused with ${fault}`;
      test(`when ${step.step} ${what} the caller is given back to the dialplan and all is released`, async (t) => {
        const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '1000' } });
        at(lab, 'before', step, () => fault);
        const channel = lab.ari.inbound();
        const ended = await lab.ended();
        assert.equal(ended.reason.kind, 'setup-failed');
        assert.equal(channel.continued, true);
        assert.equal(channel.variables.PIPECAT_STATUS, 'setup-failed');
      });
    }
  }

  for (const step of SETUP_STEPS.slice(5)) {
    for (const when of ['before', 'after'] as const) {
      test(`a call goes on though Asterisk once gives no reply ${when} ${step.step}`, async (t) => {
        const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '1000' } });
        at(lab, when, step, () => 'never');
        const { channel, session } = await lab.call();
        await until(() => lab.ari.membersOf(channel.id)?.size === 2, 'caller and bot are together');
        assert.equal(session.closed, undefined);
        lab.ari.hangUp(channel.id);
        assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
      });
    }
  }

  for (const step of SETUP_STEPS.slice(2, 4)) {
    test(`when the reply to ${step.step} is lost, what it made is removed`, async (t) => {
      const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '1000' } });
      at(lab, 'after', step, () => 'never');
      const channel = lab.ari.inbound();
      assert.equal((await lab.ended()).reason.kind, 'setup-failed');
      assert.equal(channel.continued, true);
    });
  }

  for (const step of SETUP_STEPS.slice(0, 2)) {
    test(`a call does not depend on ${step.step}`, async (t) => {
      const lab = await Lab.start(t);
      at(lab, 'before', step, () => 500);
      const { channel } = await lab.call();
      lab.ari.hangUp(channel.id);
      assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
    });
  }

  test('a caller who hangs up in the very moment of the offer leaves nothing behind', async (t) => {
    const lab = await Lab.start(t);
    const uncork = lab.ari.corked();
    const channel = lab.ari.inbound();
    lab.ari.hangUp(channel.id);
    uncork();
    assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  });

  test('a caller who hangs up while the bot thinks it over leaves nothing behind, and the bot is let go', async (t) => {
    const lab = await Lab.start(t);
    lab.bot.decide = () => 'never';
    const channel = lab.ari.inbound();
    await until(() => lab.bot.attempts > 0, 'the bot is asked');
    lab.ari.hangUp(channel.id, 127);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'caller-hangup');
    assert.equal(ended.answered, false);
    assert.equal(lab.bot.attempts, 1);
  });

  test('a caller who hangs up while the bot is tried again is not waited for', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_MS: '5000', BOT_CONNECT_TRIES: '20' } });
    lab.bot.decide = () => 503;
    const channel = lab.ari.inbound();
    await until(() => lab.bot.attempts > 1, 'a second try');
    lab.ari.hangUp(channel.id);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'caller-hangup');
  });

  test('the cause of a hang-up that comes after it reaches the bot', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    lab.ari.hangUp(channel.id, 127);
    assert.equal((await lab.ended()).cause, 127);
    assert.deepEqual(session.of('hangup')[0], {
      event: 'hangup',
      reason: 'caller-hangup',
      cause: 127,
      causeText: 'Interworking, unspecified',
    });
  });

  test('a media channel that never enters Stasis fails the set-up in time', async (t) => {
    const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '1000' } });
    lab.ari.enterStasis = () => {};
    const channel = lab.ari.inbound();
    channel.inStasis = true;
    lab.ari.emit('StasisStart', { channel: lab.ari.show(channel), args: [] });
    const ended = await lab.ended();
    assert.match(ended.reason.detail ?? '', /did not enter Stasis in time/);
    assert.equal(channel.continued, true);
  });

  test('a media channel that ends takes the call with it', async (t) => {
    const lab = await Lab.start(t);
    const { channel } = await lab.call();
    lab.ari.hangUp(lab.ari.mediaIdOf(channel.id));
    assert.equal((await lab.ended()).reason.kind, 'media-failed');
    assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
  });

  test('a bridge and a media channel that a former process left for the same caller are in nobody’s way', async (t) => {
    const lab = await Lab.start(t);
    lab.ari.bridges.set('pcb-again', new Set());
    const channel = lab.ari.inbound({ id: 'again' });
    const session = await lab.session();
    await until(() => session.of('answered').length > 0, 'answered');
    lab.ari.bridges.delete('pcb-again');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('when the caller cannot be given back they are hung up', async (t) => {
    const lab = await Lab.start(t);
    lab.bot.decide = () => 503;
    lab.ari.before(/POST .*variable$/, () => 500);
    lab.ari.before(/continue$/, () => 500);
    const channel = lab.ari.inbound();
    await lab.ended();
    assert.equal(lab.ari.channels.has(channel.id), false);
  });

  test('a call without a free RTP port is given back', async (t) => {
    const other = createSocket('udp4');
    other.bind(39_000, '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const lab = await Lab.start(t, { config: { RTP_PORT_MIN: '39000', RTP_PORT_MAX: '39001' } });
    const channel = lab.ari.inbound();
    await until(() => channel.continued, 'it is given back');
    assert.equal(channel.variables.PIPECAT_STATUS, 'media-failed');
    await lab.ended();
  });

  test('a removal that fails does not keep the rest from being released', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    at(lab, 'after', { pattern: /DELETE \/channels\/pcm-/ }, () => 500);
    at(lab, 'after', { pattern: /DELETE \/bridges/ }, () => 500);
    lab.ari.hangUp(channel.id);
    await lab.ended();
    assert.equal(session.closed, 1000);
  });

  test('the ringing tone never overtakes the answer', async (t) => {
    const lab = await Lab.start(t);
    const held = Promise.withResolvers<undefined>();
    lab.ari.before(/\/ring$/, () => held.promise);
    const channel = lab.ari.inbound();
    await lab.session();
    await until(() => lab.ari.membersOf(channel.id)?.size === 1, 'the media path');
    assert.equal(
      lab.ari.log().some((line) => line.endsWith('/answer')),
      false,
    );
    held.resolve(undefined);
    await until(() => channel.state === 'Up', 'the answer');
    assert.deepEqual(channel.done, ['ring', 'answer']);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('a media channel that comes to be after its removal is removed all the same', async (t) => {
    const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '300' } });
    // A bot that does not take its leave keeps the call in its closing state for a while.
    lab.bot.onSession = (session) => session.stopReading();
    const removed = Promise.withResolvers<undefined>();
    lab.ari.before(/externalMedia$/, () => removed.promise);
    at(lab, 'after', { pattern: /DELETE \/channels\/pcm-/ }, () => {
      removed.resolve(undefined);
      return undefined;
    });
    const channel = lab.ari.inbound();
    assert.equal((await lab.ended()).reason.kind, 'setup-failed');
    await until(() => !lab.ari.channels.has(lab.ari.mediaIdOf(channel.id)), 'it is gone');
    lab.bot.sessions[0]?.resumeReading();
    await until(() => lab.bot.sessions[0]?.closed !== undefined, 'the bot notices');
  });
});
