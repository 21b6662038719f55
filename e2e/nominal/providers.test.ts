import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type CallOutput, only } from '../phones/phones.ts';
import { SECRETS } from '../stack/containers.ts';
import { expectBothHeard } from '../stack/expect.ts';
import { ACME, FINTECH, PROVIDER_PORT } from '../stack/ports.ts';
import { newCallId, Stack } from '../stack/stack.ts';

let stack: Stack;
let registration: Promise<CallOutput>;
before(async () => {
  stack = await Stack.start({
    beforeAsterisk: async (phones) => {
      const credentials = { username: 'bridge-line', password: SECRETS.acmePassword };
      const local = `${ACME}:${PROVIDER_PORT}`;
      ({ output: registration } = await phones.listen({
        scenario: 'registrar',
        local,
        waitSeconds: 60,
        ...credentials,
      }));
    },
  });
});
after(() => stack?.stop());
afterEach(() => stack.leaks.expectNone());

test('acme: we register with digest credentials', async () => {
  const { exitCode, messages, errors } = await registration;
  assert.equal(exitCode, 0, errors);
  assert.deepEqual(
    messages.map(({ startLine }) => startLine.replace(/^REGISTER .*/, 'REGISTER')),
    ['REGISTER', 'SIP/2.0 401 Unauthorized', 'REGISTER', 'SIP/2.0 200 OK'],
  );
  assert.match(
    await stack.exec('asterisk', [
      'asterisk',
      '-C',
      '/run/asterisk/etc/asterisk.conf',
      '-rx',
      'pjsip show registrations',
    ]),
    /acme.*Registered/,
  );
});

test('acme calls in on the registered line; what it says in headers is not believed', async () => {
  const from = '+4989100200';
  const { messages } = await registration;
  const contact = messages.at(-1)?.headers.contact?.match(/sip:([^@]+)@/)?.[1];
  assert.equal(contact, 'bridge-line');
  const report = await stack.phones.callOnce({
    to: '+4989000102',
    requestUser: contact,
    from,
    local: ACME,
    seconds: 3,
    codec: 'pcma',
    callId: 'not-to-be-believed',
  });
  const [bot] = await stack.bot.calls({ from_number: from });
  assert.ok(bot, 'the AI was called');
  expectBothHeard(report, bot, 2500);
  assert.partialDeepStrictEqual(bot.query, {
    sip_provider: 'acme',
    to_number: '+4989000102',
    direction: 'inbound',
  });
  assert.notEqual(bot.callId, 'not-to-be-believed');
  assert.deepEqual(bot.start?.headers, {});
});

for (const { provider, address, payloadType } of [
  { provider: 'pb_fintech', address: FINTECH, payloadType: 0 },
  { provider: 'acme', address: ACME, payloadType: 8 },
]) {
  test(`${provider} takes a call of ours`, async () => {
    const callId = newCallId('to-provider');
    const codec = payloadType === 8 ? 'pcma' : 'pcmu';
    const { output } = await stack.phones.listen({ local: `${address}:${PROVIDER_PORT}`, seconds: 3, codec });
    await stack.ari.originate({ to: `+49301234102@${provider}`, callId });
    const report = only(await output);
    const bot = await stack.bot.wait(callId, 'closed');
    expectBothHeard(report, bot, 2300);
    assert.equal(bot.query.sip_provider, provider);
    assert.deepEqual(report.heard.payloadTypes, [payloadType]);
    if (provider === 'acme') assert.match(report.sip.from, /bridge-line/);
  });
}

test('two providers at the same time, in and out', async () => {
  const ids = ['in-a', 'out-a', 'out-b'].map(newCallId);
  const [inA = '', outA = '', outB = ''] = ids;
  const a = await stack.phones.listen({ local: `${FINTECH}:${PROVIDER_PORT}`, seconds: 4 });
  const b = await stack.phones.listen({ local: `${ACME}:${PROVIDER_PORT}`, seconds: 4, codec: 'pcma' });
  const incoming = stack.phones.callOnce({ to: '102', callId: inA, seconds: 4 });
  await Promise.all([
    stack.ari.originate({ to: '1102@pb_fintech', callId: outA }),
    stack.ari.originate({ to: '1102@acme', callId: outB }),
  ]);
  const reports = [await incoming, only(await a.output), only(await b.output)];
  for (const [at, report] of reports.entries())
    expectBothHeard(report, await stack.bot.wait(ids[at] ?? '', 'closed'), 3000);
});

test('a provider has a maximum of simultaneous calls', async () => {
  const options = { from: '+4989777', local: ACME, codec: 'pcma' };
  const { calls } = await stack.phones.call({
    ...options,
    to: '+4989000102',
    requestUser: 'bridge-line',
    calls: 3,
    rate: 20,
    seconds: 2,
  });
  assert.deepEqual(calls.map(({ sip }) => sip.status).sort(), [200, 200, 486]);
});
