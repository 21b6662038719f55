import assert from 'node:assert/strict';
import { test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { Lab, until } from './harness.ts';

const UNPRINTABLE = /[\p{Cc}\p{Cs}\u202e]/u;
const NASTY = 'x\x1b[2J\r\n\u202e\ud800';

/** Every text in a value. */
function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : [];
}

test('what a caller writes into headers and numbers reaches no record, log, event or URL unprintable, nor at any length', async (t) => {
  const PIPECAT_DIALECT = 'native';
  const lab = await Lab.start(t, { config: { API_TOKEN, RECORDS_STDOUT: 'full', PIPECAT_DIALECT } });
  const long = 'y'.repeat(5_000);
  const variables = {
    X_TENANT: `${NASTY}t`,
    INBOUND_FROM: `${NASTY}${long}`,
    INBOUND_DID: `${NASTY}d`,
    SIP_CALL_ID: NASTY,
    X_CALL_ID: `${NASTY}id`,
    AGENT_ID: '\ud800',
    CUSTOM_VARS: `prompt=${encodeURIComponent('two\nlines')}`,
  };
  const { channel, session } = await lab.call({ from: `${NASTY}f`, to: NASTY, variables });
  const start = session.of('start')[0] as Record<string, unknown>;
  assert.equal(
    (start.custom_vars as Record<string, string>).prompt,
    'two\nlines',
    'a bot’s own values have lines',
  );
  const fields = [start.from, start.to, start.tenant, start.sip_call_id, start.call_id];
  for (const text of texts(fields)) assert.doesNotMatch(text, UNPRINTABLE);
  const live = (await api(lab, 'GET', `/calls/${channel.id}`)).body;
  assert.ok(live.from.length <= 256);
  const dial = lab.ari.originate({ from: NASTY, to: NASTY, variables: { X_TENANT: NASTY, X_CALL_ID: long } });
  lab.ari.dialFails(dial, 'BUSY', 17, 486);
  lab.ari.hangUp(channel.id);
  await until(() => lab.logged('call record').length === 2, 'both records');
  const seen = [live, ...lab.logs.filter(({ level }) => level > 20)];
  for (const text of texts(seen)) {
    assert.doesNotMatch(text, UNPRINTABLE);
    assert.ok(text.length < 3_000, text.slice(0, 80));
  }
});

test('what a bot writes reaches no record or log unprintable either', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN, BOT_RECONNECT_MS: '1000', RECORDS_STDOUT: 'full' } });
  const { session } = await lab.call();
  const nasty = 'x\x1b[2J\r\n\u202e\u2028';
  session.send({ event: 'media', payload: '', encoding: nasty });
  session.send({ event: 'media', payload: '', sampleRate: [nasty] });
  session.send({ event: 'transfer', to: nasty, mode: 'dialplan', context: nasty });
  session.send({ event: nasty });
  await until(() => session.of('transfer').length > 0, 'refused');
  // The next one has no word of its own: what was said first is what the record has.
  lab.bot.decide = () => 503;
  session.close(4000, nasty);
  await lab.ended();
  await until(() => lab.logged('call record').length === 1, 'the record');
  const seen = [session.of('error'), ...lab.logs.filter(({ level }) => level > 20)];
  for (const text of texts(seen)) assert.doesNotMatch(text, /[\p{Cc}\p{Cs}\p{Zl}\u202e]/u);
  const details = lab.logs.map(({ detail }) => String(detail));
  assert.ok(
    details.some((text) => text.startsWith('closed with 4000: x')),
    details.join(),
  );
});
