/** Providers are added, changed and removed while calls talk. */
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import type { CallOutput, WitnessedCall } from '../phones/phones.ts';
import { SECRETS } from '../stack/containers.ts';
import { expectBothHeard } from '../stack/expect.ts';
import { ACME, ATTENTIVE, FINTECH, FRESH, PROVIDER_PORT, TRUNK } from '../stack/ports.ts';
import { newCallId, Stack, until } from '../stack/stack.ts';

const RELOADED_MS = 15_000;
/** Of the timestamps of one packet and the next; 20 where nothing is late. */
const LONGEST_STEP_MS = 500;
const NEW_PROVIDER = `AUTH=ip\nMATCH=${FRESH}\nHOST=${FRESH}:${PROVIDER_PORT}\nTRUST_HEADERS=yes\n`;

let stack: Stack | undefined;
afterEach(() => stack?.stop());
after(() => stack?.stop());

/** Lines of the bridge's log with this text. */
async function logged(of: Stack, text: string): Promise<Record<string, unknown>[]> {
  const lines = (await of.logs('bridge')).split('\n').filter((line) => line.includes(`"msg":"${text}"`));
  return lines.map((line) => JSON.parse(line));
}

/** SIGHUP, until the bridge has logged what became of it. */
async function reload(of: Stack, text: string): Promise<Record<string, unknown>> {
  const before = (await logged(of, text)).length;
  await of.signalPart('bridge', 'SIGHUP');
  await until(text, RELOADED_MS, async () => (await logged(of, text)).length > before);
  return (await logged(of, text)).at(-1) ?? {};
}

/** Calls that talk until the test is over. */
function talk(of: Stack, local: string, seconds: number): { callId: string; call: Promise<WitnessedCall> } {
  const callId = newCallId('live');
  return { callId, call: of.phones.callOnce({ to: '102', callId, seconds, local }) };
}

test('a provider is added, one changed, one removed: calls of all of them lose no packet, and each later call goes by the new files', async (context) => {
  stack = await Stack.start();
  const { phones, bot } = stack;
  const live = [FINTECH, ATTENTIVE, TRUNK].map((local) => talk(stack as Stack, local, 28));
  for (const { callId } of live) await bot.wait(callId, 'sound');

  assert.equal((await phones.callOnce({ to: '102', seconds: 1, local: FRESH })).sip.status, 401);
  await stack.writeProvider('fresh.env', NEW_PROVIDER);
  const changed = `AUTH=ip\nMATCH=${ATTENTIVE}\nHOST=${ATTENTIVE}:${PROVIDER_PORT}\nCODECS=alaw\nTRUST_HEADERS=yes\nTENANT=later\n`;
  await stack.writeProvider('attentive.env', changed);
  await stack.writeProvider('trunk.env', undefined);
  const startedMs = Date.now();
  const said = await reload(stack, 'configuration reloaded');
  context.diagnostic(`reloaded within ${Date.now() - startedMs} ms: ${said.asterisk}`);
  assert.match(String(said.asterisk), /attentive changed, fresh new, trunk removed/);

  const callId = newCallId('fresh');
  const first = await phones.callOnce({ to: '102', callId, seconds: 3, local: FRESH });
  expectBothHeard(first, await bot.wait(callId, 'closed'), 1500);
  assert.equal((await stack.record(callId)).provider, 'fresh');
  assert.equal((await phones.callOnce({ to: '102', seconds: 1, local: TRUNK })).sip.status, 401);
  const later = newCallId('later');
  await phones.callOnce({ to: '102', callId: later, seconds: 2, local: ATTENTIVE, codec: 'pcma' });
  assert.equal((await stack.record(later)).tenant, 'later');

  // A file that only Asterisk can refuse, and one that the bridge does.
  for (const [text, why] of [
    [`${NEW_PROVIDER}DTMF=smoke\n`, /Asterisk: bad\.env:DTMF: 'smoke' is not/],
    [`${NEW_PROVIDER}RECORDING=perhaps\n`, /bad\.env: RECORDING: /],
  ] as const) {
    await stack.writeProvider('bad.env', text);
    assert.match(String((await reload(stack, 'reload refused, what runs goes on')).error), why);
    const again = await phones.callOnce({ to: '102', seconds: 1, local: FRESH });
    assert.equal(again.sip.status, 200);
  }
  await stack.writeProvider('bad.env', undefined);
  await reload(stack, 'configuration reloaded');

  for (const { callId, call } of live) {
    const report = await call;
    expectBothHeard(report, await bot.wait(callId, 'closed'), 8000);
    const { endReason, tenant } = await stack.record(callId);
    assert.deepEqual([endReason, tenant], ['caller-hangup', undefined]);
    const { ssrcs, lost, duplicates, reordered, spacingDeviationMs, leaps } = report.heard;
    assert.deepEqual([ssrcs.length, lost, duplicates, reordered], [1, 0, 0, 0]);
    const longestMs = Math.max(20, ...leaps.map(({ ms }) => ms));
    context.diagnostic(
      `${lost} packets lost, longest step ${longestMs} ms, 20 ms kept within ${spacingDeviationMs.p99} ms (p99)`,
    );
    // The machine may be late by itself: SIPp's starts for the calls beside it take its time.
    assert.ok(longestMs <= LONGEST_STEP_MS, `${longestMs} ms`);
  }
  await stack.leaks.expectNone();
});

test('a registration ends with its provider’s file', async () => {
  let registration: Promise<CallOutput> | undefined;
  const registrar = {
    local: `${ACME}:${PROVIDER_PORT}`,
    scenario: 'registrar',
    username: 'bridge-line',
    waitSeconds: 60,
  };
  stack = await Stack.start({
    beforeAsterisk: async (phones) => {
      ({ output: registration } = await phones.listen({ ...registrar, password: SECRETS.acmePassword }));
    },
  });
  assert.equal((await registration)?.exitCode, 0);
  const registrations = () => stack?.exec('asterisk', ['asterisk', '-rx', 'pjsip show registrations']);
  assert.match(String(await registrations()), /acme.*Registered/);
  const { output } = await stack.phones.listen({
    ...registrar,
    password: SECRETS.acmePassword,
    waitSeconds: 15,
  });
  await stack.writeProvider('acme.env', undefined);
  await reload(stack, 'configuration reloaded');
  assert.doesNotMatch(String(await registrations()), /acme/);
  const { messages } = await output;
  const expires = messages.find(({ startLine }) => startLine.startsWith('REGISTER'))?.headers;
  assert.match(`${expires?.expires} ${expires?.contact}`, /^0 |expires=0/);
});
