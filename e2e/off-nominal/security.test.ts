import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { ACME, FINTECH, PROVIDER_PORT, STRANGER } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

test('a SIP source that is no provider is refused, whatever number it calls', async () => {
  const from = '+666';
  for (const to of ['100', '+4930123456', 'bridge-line', 'pb_fintech']) {
    const { sip } = await stack.phones.callOnce({ to, from, local: STRANGER, callId: newCallId('stranger') });
    assert.ok(sip.status === 401 || sip.status === 403, `${to}: ${sip.status}`);
    assert.ok(!sip.statuses.includes(180) && !sip.statuses.includes(183));
  }
  assert.deepEqual(await stack.bot.calls({ from_number: from }), []);
});

test('a stranger who claims to be a provider is refused', async () => {
  for (const from of ['pb_fintech', 'acme', 'bridge-line']) {
    const { sip } = await stack.phones.callOnce({
      to: '102',
      from,
      local: STRANGER,
      callId: newCallId('liar'),
    });
    assert.ok(sip.status === 401 || sip.status === 403, `${from}: ${sip.status}`);
  }
});

test('who calls in reaches the AI and nobody else, whatever number he dials', async () => {
  const others = await Promise.all(
    [FINTECH, ACME].map((address) =>
      stack.phones.listen({ local: `${address}:${PROVIDER_PORT}`, waitSeconds: 10, seconds: 1 }),
    ),
  );
  for (const to of ['+4930123102', '00494030102', 'PJSIP*4930102', '102']) {
    const callId = newCallId('outward');
    const { sip } = await stack.phones.callOnce({ to, callId, seconds: 0.5, local: '127.0.0.4' });
    assert.equal(sip.status, 200);
    await stack.bot.wait(callId, 'closed');
  }
  for (const { output } of others) assert.deepEqual((await output).calls, []);
});

test('a caller who asks for a transfer (REFER) is refused, and the call goes on', async () => {
  const other = await stack.phones.listen({ local: `${ACME}:${PROVIDER_PORT}`, waitSeconds: 6, seconds: 1 });
  const callId = newCallId('refer');
  const referTo = `sip:+4930999@${ACME}:${PROVIDER_PORT}`;
  const { sip } = await stack.phones.callOnce({
    scenario: 'caller-refers',
    to: '102',
    callId,
    referTo,
    seconds: 2,
  });
  assert.equal(sip.status, 200);
  assert.ok((sip.referStatus ?? 0) >= 400, `REFER: ${sip.referStatus}`);
  assert.equal(sip.endedBy, 'us');
  assert.deepEqual((await other.output).calls, []);
});

test('ARI asks for a password', async () => {
  const url = `http://127.0.0.1:${stack.ports.ari}/ari/channels`;
  assert.equal((await fetch(url)).status, 401);
  const wrong = { authorization: `Basic ${Buffer.from('pipecat:pipecat').toString('base64')}` };
  assert.equal((await fetch(url, { headers: wrong })).status, 401);
});
