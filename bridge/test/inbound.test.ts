import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, speech, until } from './harness.ts';

test('an inbound call is offered to the bot, answered, relayed both ways, and released', async (t) => {
  const lab = await Lab.start(t);
  const channel = lab.ari.inbound({ variables: { X_CALL_ID: 'call-1' } });
  const session = await lab.session();
    console.log(lab.logs, lab.ari.log());
    throw e;
  });
  await until(() => session.of('answered').length > 0, 'answered');
  assert.equal(await lab.metric('calls_active'), 1);
  assert.equal(await lab.metric('bot_connections'), 1);
  assert.equal(await lab.metric('rtp_ports_in_use'), 1);
  const rtp = lab.ari.mediaOf(channel.id);
  const heard = speech(5);
  for (let i = 0; i < 5; i++) rtp.send(heard.subarray(i * 160, (i + 1) * 160));
  await until(() => session.of('media').length >= 5, 'media at the bot');
  assert.deepEqual(session.audio().subarray(0, 800), heard);
  session.speak(speech(3, 1));
  await until(() => rtp.speech().length >= 480, 'audio at the caller');
  assert.deepEqual(rtp.speech(), speech(3, 1));
  lab.ari.hangUp(channel.id, 16);
  const ended = await lab.ended();
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual(session.order(), ['start', 'answered', 'media', 'hangup']);
  assert.deepEqual(session.events.at(-1), {
    event: 'hangup',
    reason: 'caller-hangup',
    cause: 16,
    causeText: 'Normal call clearing',
  });
  assert.equal(session.closed, 1000);
  assert.equal(ended.reason.kind, 'caller-hangup');
  assert.equal(ended.answered, true);
  assert.deepEqual(channel.done, ['ring', 'answer']);
});
