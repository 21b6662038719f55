/**
 * Each setting that applies on reload does apply, without a restart. The two tables have all of
 * them: a setting that is said to apply on reload, and has no row here, fails the last test.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SETTINGS } from '../src/config/environment.ts';
import { needsRestart } from '../src/config/reloadable.ts';
import { type ReloadReport, writeReloadReport } from '../src/control/reload-report.ts';
import type { MediaSettings } from '../src/media/session.ts';
import { API_TOKEN, api } from './api-client.ts';
import { ORDER, PROVIDER, place } from './api-lab.ts';
import { Lab } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';
import { folder, nextCall, OTHERS, watched } from './reload-rows.ts';

const OTHER_TOKEN = 'another-token-of-the-tests';

/** What a call's media gets, by setting: [another value than before, what is looked at, result]. */
const OF_A_CALL: Readonly<Record<string, [string, (media: MediaSettings) => unknown, unknown]>> = {
  PIPECAT_URL: ['ws://127.0.0.1:9/other', ({ bot }) => bot.name, 'ws://127.0.0.1:9/other'],
  PIPECAT_DIALECT: ['twilio', ({ dialect }) => dialect, 'twilio'],
  PIPECAT_AUTHORIZATION: ['Bearer x', ({ bot }) => bot.target.authorization, 'Bearer x'],
  PIPECAT_ORIGIN: ['https://x.example', ({ bot }) => bot.target.origin, 'https://x.example'],
  PIPECAT_FRAMING: ['binary', ({ start }) => start.framing, 'binary'],
  ANSWER_ON: ['first-audio', ({ speaksFirst }) => speaksFirst, true],
  BOT_SPEAKS_FIRST: ['yes', ({ speaksFirst }) => speaksFirst, true],
  FIRST_AUDIO_MS: ['477', ({ firstAudioMs }) => firstAudioMs, 477],
  BOT_CONNECT_MS: ['4321', ({ bot }) => bot.connectMs, 4321],
  BOT_CONNECT_TRIES: ['3', ({ bot }) => bot.connectTries, 3],
  BOT_RECONNECT_MS: ['4322', ({ bot }) => bot.reconnectMs, 4322],
  BOT_RECONNECTS_MAX: ['7', ({ bot }) => bot.reconnectsMax, 7],
  BOT_END_SILENCE_MS: ['4323', ({ endSilenceMs }) => endSilenceMs, 4323],
  BOT_REFUSAL_MS: ['11', ({ refusalMs }) => refusalMs, 11],
  BOT_PING_MS: ['777', ({ bot }) => bot.limits.pingMs, 777],
  BOT_HUNG_MS: ['4324', ({ bot }) => bot.limits.hungMs, 4324],
  BOT_SEND_BUFFER_BYTES: ['5000', ({ bot }) => bot.limits.sendBufferBytes, 5000],
  BOT_MAX_MESSAGE_BYTES: ['5001', ({ bot }) => bot.limits.maxMessageBytes, 5001],
  BOT_MAX_BAD_MESSAGES: ['8', ({ maxBadMessages }) => maxBadMessages, 8],
  BOT_MESSAGES_PER_SECOND: ['999', ({ budget }) => budget.messagesPerSecond, 999],
  BOT_CONTROLS_PER_SECOND: ['99', ({ budget }) => budget.controlsPerSecond, 99],
  BOT_ORDERS_PER_SECOND: ['9', ({ budget }) => budget.ordersPerSecond, 9],
  BOT_BYTES_PER_SECOND: ['99999', ({ budget }) => budget.bytesPerSecond, 99999],
  BOT_BURST_S: ['9', ({ budget }) => budget.burstS, 9],
  BOT_OVER_BUDGET_MS: ['4325', ({ budget }) => budget.overMs, 4325],
  MEDIA_TIMEOUT_MS: ['4326', ({ mediaTimeoutMs }) => mediaTimeoutMs, 4326],
  PLAYOUT_PREBUFFER_MS: ['60', ({ prebufferMs }) => prebufferMs, 60],
  PLAYOUT_QUEUE_MS: ['4327', ({ queueMs }) => queueMs, 4327],
  DRAIN_SILENCE_MS: ['220', ({ trailingSilenceMs }) => trailingSilenceMs, 220],
  CONCEALMENT: ['silence', ({ concealment }) => concealment, 'silence'],
  DEFAULT_ENCODING: ['pcma', ({ start }) => start.encoding, 'pcma'],
  MEDIA_TRANSPORT: ['websocket', ({ transport }) => transport, 'websocket'],
  SILENCE_LIMIT_S: ['44', ({ silenceLimitMs }) => silenceLimitMs, 44_000],
  RECORDING_MAX_MB: ['2', ({ recording }) => recording?.maxBytes, 2_000_000],
};

test('settings of a call: the next call has the new value, and the one after another reload the old one', async (t) => {
  const opened: MediaSettings[] = [];
  const lab = await Lab.start(t, { make: watched(opened), config: { RECORDINGS_DIR: folder(t) } });
  for (const [name, [value, look, expected]] of Object.entries(OF_A_CALL)) {
    assert.deepEqual(await lab.reload({ [name]: value }), { applied: [name], needRestart: [] });
    assert.deepEqual(look(await nextCall(lab, opened)), expected, name);
    await lab.reload();
    assert.notDeepEqual(look(await nextCall(lab, opened)), expected, `${name}, back`);
  }
});

describe('everything else that applies on reload', { concurrency: 4 }, () => {
  for (const [name, shows] of Object.entries(OTHERS)) test(name, shows);
});

test('no setting is said to apply on reload without a row above', () => {
  const rows = [...Object.keys(OF_A_CALL), ...Object.keys(OTHERS)];
  assert.deepEqual(rows.sort(), SETTINGS.filter((name) => !needsRestart(name)).sort());
});

test('providers: each call goes by the file as it was when the call began', async (t) => {
  const directory = providersDirectory(t, `${PROVIDER}TENANT=before\nOUTBOUND_CALLS_PER_SECOND=1\n`);
  const lab = await Lab.start(t, { config: { API_TOKEN, PROVIDERS_DIR: directory } });
  const first = await place(lab, { callId: 'c-1' });
  assert.equal((await api(lab, 'POST', '/calls', { ...ORDER, callId: 'c-2' })).status, 429);
  writeFileSync(join(directory, 'acme.env'), PROVIDER);
  const changed = `${PROVIDER}TENANT=after\nOUTBOUND_CALLS_PER_SECOND=100\n`;
  writeFileSync(join(directory, 'pb_fintech.env'), changed);
  const change = await lab.reload();
  assert.deepEqual(change, { applied: ['pb_fintech.env', 'acme.env'], needRestart: [] });
  await delay(20);
  const second = await place(lab, { callId: 'c-2' });
  const tenant = async (id: string) => (await api(lab, 'GET', `/calls/${id}`)).body.tenant;
  assert.deepEqual(await Promise.all(['c-1', 'c-2'].map(tenant)), ['before', 'after']);
  // The fake Asterisk does not know this provider: the order has passed the bridge's own check.
  const toAcme = async () =>
    (await api(lab, 'POST', '/calls', { ...ORDER, callId: 'c-3', provider: 'acme' })).status;
  assert.equal(await toAcme(), 502);
  rmSync(join(directory, 'acme.env'));
  await lab.reload();
  assert.equal(await toAcme(), 422);
  for (const { id } of [first, second]) lab.ari.hangUp(id);
});

test('a fault in one file refuses the whole reload, names it, and what runs goes on', async (t) => {
  const directory = providersDirectory(t, PROVIDER);
  const lab = await Lab.start(t, { config: { API_TOKEN, PROVIDERS_DIR: directory } });
  const before = await lab.get('/livez');
  writeFileSync(join(directory, 'acme.env'), 'COUNTRY=49\n');
  const result = await lab.reload({ MAX_CALLS: '1', API_TOKEN: OTHER_TOKEN });
  assert.match(JSON.stringify(result), /refused.*acme\.env: COUNTRY: is not a key that is known/);
  assert.equal(lab.logged('reload refused, what runs goes on').length, 1);
  assert.deepEqual(await lab.get('/livez'), before);
  assert.match((await lab.get('/readyz')).body, /the last reload was refused/);
  assert.equal((await api(lab, 'GET', '/calls')).status, 200);
  rmSync(join(directory, 'acme.env'));
  await lab.reload();
  assert.doesNotMatch((await lab.get('/readyz')).body, /refused/);
});

test('an error that nobody foresaw refuses the reload too, and the process goes on', async (t) => {
  const lab = await Lab.start(t);
  const load = () => {
    throw new Error('EMFILE: too many open files');
  };
  assert.deepEqual(await lab.daemon.reload(load), { refused: 'EMFILE: too many open files' });
  assert.match((await lab.get('/readyz')).body, /the last reload was refused/);
  assert.ok('applied' in (await lab.reload()));
});

test('what became of each reload is in a file, for who has sent the signal', (t) => {
  const path = join(folder(t), 'reload');
  const written = (report: ReloadReport) => {
    writeReloadReport(report, path);
    return readFileSync(path, 'utf8');
  };
  assert.equal(written({ asked: 0, done: 0, outcome: undefined }), 'asked 0 done 0 none\n');
  const change = { applied: ['MAX_CALLS', 'acme.env'], needRestart: [] };
  assert.equal(
    written({ asked: 3, done: 2, outcome: { change, asterisk: 'applied: acme changed' } }),
    'asked 3 done 2 applied\nbridge: MAX_CALLS, acme.env\nAsterisk: acme changed\n',
  );
  const none = { change: { ...change, applied: [] }, asterisk: undefined };
  assert.equal(written({ asked: 3, done: 3, outcome: none }), 'asked 3 done 3 applied\nbridge: nothing\n');
  const refused = '2 problem(s):\n  a.env: X';
  assert.equal(written({ asked: 4, done: 4, outcome: { refused } }), `asked 4 done 4 refused\n${refused}\n`);
  writeReloadReport({ asked: 5, done: 5, outcome: { refused } }, join(path, 'no-folder'));
});

test('what needs a restart is named, and stays as it is; the rest is applied', async (t) => {
  const lab = await Lab.start(t);
  const digests = async () => JSON.parse((await lab.get('/livez')).body);
  const before = await digests();
  const change = await lab.reload({ HTTP_PORT: '8091', ARI_APP: 'other', MAX_CALLS: '500' });
  assert.deepEqual(change, { applied: ['MAX_CALLS'], needRestart: ['ARI_APP', 'HTTP_PORT'] });
  const after = await digests();
  assert.equal(after.restart, before.restart);
  assert.notEqual(after.configuration, before.configuration);
  assert.deepEqual(await lab.reload(), {
    applied: ['MAX_CALLS'],
    needRestart: [],
  });
  assert.deepEqual(await digests(), before);
});
