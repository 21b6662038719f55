import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, speech, until } from './harness.ts';

test('a bot that says goodbye and hangs up is heard to its last frame, and only then is the caller hung up', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(20));
  session.send({ event: 'hangup' });
  let heardAtHangUp = 0;
  lab.ari.before(new RegExp(`DELETE /channels/${channel.id}`), () => {
    heardAtHangUp = rtp.speech().length;
    return undefined;
  });
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'bot-hangup');
  assert.equal(heardAtHangUp, 3200);
  assert.deepEqual(rtp.speech(), speech(20));
  assert.deepEqual(session.events.at(-1), {
    event: 'hangup',
    reason: 'bot-hangup',
    cause: 16,
    causeText: 'Normal call clearing',
  });
  await until(() => session.closed === 1000, 'close 1000');
});

test('a bot that closes with 1000 is played out like one that hangs up', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(10));
  session.close(1000);
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'bot-closed');
  assert.deepEqual(rtp.speech(), speech(10));
  assert.equal(channel.continued, false);
});

test('the last words may end within a frame: it is filled with silence', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(3).subarray(0, 401));
  session.send({ event: 'hangup' });
  await lab.ended();
  const expected = Buffer.alloc(480, 0xff);
  speech(3).copy(expected, 0, 0, 401);
  assert.deepEqual(rtp.speech(), expected);
});

test('an immediate hang-up cuts the bot off', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(100));
  session.send({ event: 'hangup', immediate: true });
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'bot-hangup-immediate');
  assert.ok(rtp.speech().length < 1600, `${rtp.speech().length} bytes were heard`);
});

test('an immediate hang-up cuts the last words short that were being played out', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(200));
  session.send({ event: 'hangup' });
  await until(() => rtp.speech().length > 0, 'the last words begin');
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
  assert.ok(rtp.speech().length < 3200, `${rtp.speech().length} bytes were heard`);
});

test('a caller who hangs up during the last words does not wait for their end', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(200));
  session.send({ event: 'hangup' });
  await until(() => rtp.speech().length > 0, 'the last words begin');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.ok(rtp.speech().length < 3200, `${rtp.speech().length} bytes were heard`);
});

test('after clear no byte from before it is heard, and what follows is heard whole', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const before = Buffer.alloc(160 * 200, 0x01);
  session.speak(before);
  await until(() => rtp.speech().length > 0, 'the first words');
  session.send({ event: 'clear', streamId: channel.id });
  session.speak(speech(5, 1));
  await until(
    () => rtp.heard.some(({ payload }) => payload.equals(speech(5, 1).subarray(0, 160))),
    'the second',
  );
  await until(() => rtp.heard.some(({ payload }) => payload.equals(speech(5, 1).subarray(640))), 'its end');
  const from = rtp.heard.findIndex(({ payload }) => payload.equals(speech(5, 1).subarray(0, 160)));
  assert.deepEqual(
    Buffer.concat(rtp.heard.slice(from, from + 5).map(({ payload }) => payload)),
    speech(5, 1),
  );
  assert.equal(
    rtp.heard.slice(from).some(({ payload }) => payload.equals(before.subarray(0, 160))),
    false,
  );
  assert.ok(from < 60, `${from} frames were heard first`);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('marks come back in order when they are reached, and at once as cleared', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.send({ event: 'mark', name: 'empty' });
  session.speak(speech(3));
  session.send({ event: 'mark', name: 'first' });
  session.speak(speech(3, 1));
  session.send({ event: 'mark', name: 'second' });
  await until(() => session.of('mark').length === 3, 'three marks');
  assert.ok(rtp.speech().length >= 800, 'the second mark came when its words had left');
  session.speak(speech(300));
  session.send({ event: 'mark', name: 'third' });
  session.send({ event: 'mark', name: 'fourth' });
  session.send({ event: 'clear' });
  session.send({ event: 'clear' });
  session.send({ event: 'mark', name: 'last' });
  await until(() => session.of('mark').length === 6, 'six marks');
  assert.deepEqual(session.of('mark'), [
    { event: 'mark', name: 'empty' },
    { event: 'mark', name: 'first' },
    { event: 'mark', name: 'second' },
    { event: 'mark', name: 'third', cleared: true },
    { event: 'mark', name: 'fourth', cleared: true },
    { event: 'mark', name: 'last' },
  ]);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('packets leave on a 20 ms grid with numbers that follow each other', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(10));
  await until(() => rtp.heard.length >= 25, 'half a second');
  const { heard } = rtp;
  for (const [i, packet] of heard.entries()) {
    const previous = heard[i - 1];
    if (previous === undefined) continue;
    assert.equal(packet.sequenceNumber, (previous.sequenceNumber + 1) & 0xffff);
    if (!packet.marker) assert.equal(packet.timestamp, (previous.timestamp + 160) >>> 0);
    assert.equal(packet.payload.length, 160);
  }
  const spanMs = (heard.at(-1)?.atMs ?? 0) - (heard[0]?.atMs ?? 0);
  assert.ok(spanMs > 20 * (heard.length - 1) - 25, `${heard.length} packets within ${spanMs} ms`);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('what somebody else sends to the RTP port is not heard', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const { FakeRtp } = await import('./fake-rtp.ts');
  const stranger = await FakeRtp.open(`127.0.0.1:${rtp.targetPort}`, 'ulaw');
  for (let i = 0; i < 5; i++) stranger.send(Buffer.alloc(160, 0x11));
  await stranger.close();
  for (let i = 0; i < 5; i++) rtp.send(Buffer.alloc(160, 0x22));
  await until(() => session.audio().includes(0x22), 'the caller');
  assert.equal(session.audio().includes(0x11), false);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});
