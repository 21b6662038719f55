/** All containers are told to stop at once, as at a reboot of the host. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { MARKER_HZ } from '../mock-pipecat/src/tones.ts';
import { heardMs } from '../sipp/stream.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack | undefined;
after(() => stack?.stop());

test('the caller hears the announcement, and the record says shutdown, by operator', async (t) => {
  stack = await Stack.start({ bridge: { STOP_DRAIN_S: '60', SHUTDOWN_MS: '10000' } });
  const callId = newCallId('reboot');
  const call = stack.phones.callOnce({ to: '102', callId, seconds: 40 });
  await stack.bot.wait(callId, 'sound');
  const stopMs = Date.now();
  await Promise.all([stack.stopPart('asterisk'), stack.stopPart('bridge'), stack.stopPart('mock')]);
  t.diagnostic(`all stopped after ${Date.now() - stopMs} ms`);
  const { sip, heard } = await call;
  assert.equal(sip.endedBy, 'them');
  const marker = heard.segments.findLast(({ sound }) => sound === MARKER_HZ);
  const announced = heard.segments.filter(
    ({ sound, fromMs }) => sound === 'other' && fromMs >= (marker?.toMs ?? 0),
  );
  const ms = announced.reduce((sum, { audioMs }) => sum + audioMs, 0);
  t.diagnostic(`the bot for ${heardMs(heard, MARKER_HZ)} ms, then the announcement for ${ms} ms`);
  await stack.startPart('asterisk');
  await stack.startPart('bridge');
  await stack.ready();
  const { calls } = await stack.api('/calls?limit=5');
  const record = calls.find((found) => found.callId === callId);
  assert.partialDeepStrictEqual(record, { endReason: 'shutdown', endedBy: 'operator' });
  assert.ok(ms >= 1000, `the announcement was heard for ${ms} ms`);
});
