/**
 * Asterisk with RTP ports for one call: a second caller gets 488 before the bridge knows of the
 * call. The bridge reports why.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SipPhone } from '../phones/sip-phone.ts';
import { LOCALHOST, PORTS, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const LISTENER_BOT = '102';

let stack: Stack;
before(async () => {
  // Two channels: the caller's and the media channel.
  const range = { ASTERISK_RTP_PORT_MAX: `${PORTS.asteriskRtpMin + 3}` };
  stack = await Stack.start({ asterisk: range, bridge: { ...range, RECONCILE_MS: '300', MAX_CALLS: '2' } });
});
after(() => stack?.stop());

async function warnings(): Promise<string[]> {
  const reply = await fetch(`http://${LOCALHOST}:${stack.ports.http}/readyz`);
  return ((await reply.json()) as { warnings: string[] }).warnings;
}

test('ports that are used up, and a range that cannot hold MAX_CALLS, are told', async () => {
  assert.match((await warnings()).join(), /ports for 1 calls .* MAX_CALLS is 2/);
  await using phone = await SipPhone.open({ address: TRUNK }, stack.ports);
  await using second = await SipPhone.open({ address: TRUNK }, stack.ports);
  const call = await phone.call(LISTENER_BOT, { headers: [`X-Call-ID: ${newCallId('ports')}`] });
  assert.equal(call.status, 200);
  await until('the warning', 5_000, async () =>
    /nearly used up \(2 channels of 2/.test((await warnings()).join()),
  );
  assert.equal((await second.call(LISTENER_BOT, {})).status, 488);
  await phone.hangUp(call);
  await until('its end', 5_000, async () => !/nearly used up/.test((await warnings()).join()));
  await stack.leaks.expectNone();
});
