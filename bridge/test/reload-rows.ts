/**
 * What shows of each setting that a reload has applied it. Settings whose value a call's media gets
 * are in reload.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type MakeWorker, makeWorker } from '../src/media/make-worker.ts';
import type { MediaSettings } from '../src/media/session.ts';
import { RecordDatabase } from '../src/records/database.ts';
import type { CallRecord } from '../src/records/record.ts';
import { API_TOKEN, api } from './api-client.ts';
import { ORDER, PROVIDER, place, startLab } from './api-lab.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, until } from './harness.ts';

const DAY_MS = 86_400_000;
const OTHER_TOKEN = 'another-token-of-the-tests';

/** A WAV file of silence, 8000 Hz, 16-bit PCM. */
function wavFile(samples: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + 2 * samples, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(8_000, 24);
  header.writeUInt32LE(16_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(2 * samples, 40);
  return Buffer.concat([header, Buffer.alloc(2 * samples)]);
}

export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'reload-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Workers as usual; `opened` gets what each call's media was opened with. */
export const watched =
  (opened: MediaSettings[]): MakeWorker =>
  (settings, events) => {
    const worker = makeWorker(settings, events);
    return {
      postMessage: (message) => {
        if (message.request.method === 'open') opened.push(message.request.settings);
        worker.postMessage(message);
      },
      terminate: () => worker.terminate(),
    };
  };

/** What the next call's media is opened with. The call ends then. */
export async function nextCall(lab: Lab, opened: MediaSettings[]): Promise<MediaSettings> {
  opened.length = 0;
  const channel = lab.ari.inbound({ variables: { X_RECORD: 'on' } });
  const media = await until(() => opened[0], 'media');
  lab.ari.hangUp(channel.id);
  await until(async () => (await lab.metric('calls_active')) === 0, 'the call has ended');
  return media;
}

const readyProblems = async (lab: Lab) => JSON.parse((await lab.get('/readyz')).body).problems as string[];

/** An old record for a database that is there before the bridge starts. */
function oldRecord(n: number, ageDays: number, tenant = 'x'): CallRecord {
  const at = new Date(Date.now() - ageDays * DAY_MS - n).toISOString();
  return {
    callId: `old-${n}`,
    channelId: `1.${n}`,
    provider: 'acme',
    direction: 'inbound',
    from: '+491',
    to: '100',
    state: 'closed',
    endReason: 'caller-hangup',
    times: { offered: at, ended: at },
    setupMs: {},
    tenant,
  };
}

/** A lab whose store has these records. */
async function withRecords(t: TestContext, records: readonly CallRecord[]): Promise<Lab> {
  const directory = folder(t);
  const database = new RecordDatabase(join(directory, 'calls.db'), 'before');
  database.write(records.map((record) => ({ type: 'call', record })));
  database.close();
  return await startLab(t, PROVIDER, { config: { RECORDS_DIR: directory } });
}
const newest = async (lab: Lab) => (await api(lab, 'GET', '/calls?limit=1')).body.calls as CallRecord[];
const known = async (lab: Lab, id: string) => (await api(lab, 'GET', `/calls/${id}`)).status === 200;

/** A directory with two old recordings of 2 MB each: the first is the older. */
function recordings(t: TestContext): { directory: string; names: string[] } {
  const directory = folder(t);
  const names = ['20260101T000000Z-0000000000000001.wav', '20260102T000000Z-0000000000000002.wav'];
  for (const [i, name] of names.entries()) {
    const path = join(directory, name);
    writeFileSync(path, '');
    truncateSync(path, 2_000_000);
    const at = (Date.now() - (10 - i) * DAY_MS) / 1000;
    utimesSync(path, at, at);
  }
  return { directory, names };
}
const removed = async (lab: Lab, names: readonly string[]) => {
  const [line] = await until(() => {
    const lines = lab.logged('recordings removed by age or size');
    return lines.length > 0 && lines;
  }, 'removed');
  assert.deepEqual(line?.recordings, names);
};

/** A placed call whose callback's receiver answers. */
async function withCallback(lab: Lab, url: string, id: string): Promise<void> {
  const channel = await place(lab, { callId: id, callbackUrl: url });
  lab.ari.hangUp(channel.id);
}
async function receiver(t: TestContext, secret: string): Promise<FakeReceiver> {
  const made = await FakeReceiver.start(secret);
  t.after(() => made.close());
  return made;
}

/** All ticks of the pacer are late, by what the worker reports. */
const late: MakeWorker = (settings, events) => {
  let ticks = 0;
  return makeWorker(settings, {
    ...events,
    onMessage: (message) => {
      if (message.type !== 'stats') return events.onMessage(message);
      ticks += 50;
      const pacer = { ...message.stats.pacer, ticks, lateTicks: ticks };
      events.onMessage({ ...message, stats: { ...message.stats, pacer } });
    },
  });
};

/** Everything else, by setting: what shows that a reload has applied it. */
export const OTHERS: Readonly<Record<string, (t: TestContext) => Promise<void>>> = {
  PIPECAT_CA: async (t) => {
    const opened: MediaSettings[] = [];
    const lab = await Lab.start(t, { make: watched(opened) });
    const file = join(folder(t), 'ca.pem');
    const options = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    execFileSync('openssl', [...options, '-subj', '/CN=x', '-keyout', `${file}.key`, '-out', file], {
      stdio: 'ignore',
    });
    await lab.reload({ PIPECAT_CA_FILE: file });
    assert.match(String((await nextCall(lab, opened)).bot.target.ca), /BEGIN CERTIFICATE/);
  },
  COMFORT_WAV: async (t) => {
    const opened: MediaSettings[] = [];
    const lab = await Lab.start(t, { make: watched(opened) });
    const path = join(folder(t), 'hold.wav');
    writeFileSync(path, wavFile(800));
    await lab.reload({ COMFORT_WAV: path });
    assert.equal((await nextCall(lab, opened)).comfortMusic?.length, 1600);
    writeFileSync(path, wavFile(1600));
    await lab.reload({ COMFORT_WAV: path });
    assert.equal((await nextCall(lab, opened)).comfortMusic?.length, 3200, 'the file is read again');
  },
  DEFAULT_SAMPLE_RATE: async (t) => {
    const opened: MediaSettings[] = [];
    const config = { DEFAULT_ENCODING: 'pcm16' };
    const lab = await Lab.start(t, { make: watched(opened), config });
    await lab.reload({ DEFAULT_SAMPLE_RATE: '16000' });
    assert.equal((await nextCall(lab, opened)).start.sampleRate, 16_000);
  },
  BOT_CONNECTS_PER_SECOND: async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_MS: '60000' } });
    await lab.reload({ BOT_CONNECTS_PER_SECOND: '2' });
    let isUp = false;
    const cameMs: number[] = [];
    lab.bot.decide = () => (isUp ? 'accept' : 503);
    lab.bot.onSession = () => cameMs.push(performance.now());
    const channels = Array.from({ length: 6 }, () => lab.ari.inbound());
    await until(async () => (await lab.metric('bots_down')) === 1, 'the bot is down');
    isUp = true;
    // Who tries when the bot is back comes at once; the others wait for the rate.
    await until(() => cameMs.length === 6, 'all are back');
    assert.ok((cameMs[5] ?? 0) - (cameMs[0] ?? 0) > 1_000, cameMs.join());
    for (const { id } of channels) lab.ari.hangUp(id);
  },
  MAX_CALLS: async (t) => {
    const lab = await Lab.start(t);
    const { channel } = await lab.call();
    await lab.reload({ MAX_CALLS: '1' });
    assert.deepEqual(await readyProblems(lab), ['MAX_CALLS is reached']);
    const late = lab.ari.inbound();
    await until(() => late.continued, 'given back');
    assert.equal(late.variables.PIPECAT_STATUS, 'at-capacity');
    await until(() => /^\d/.test(lab.ari.globals.variables.get('PIPECAT_GATE_pipecat') ?? ''), 'the gate');
    lab.ari.hangUp(late.id);
    assert.equal(lab.logged('call ended').filter(({ reason }) => reason !== undefined).length <= 1, true);
    lab.ari.hangUp(channel.id);
  },
  PROVIDER_SHARE_PERCENT: async (t) => {
    const lab = await Lab.start(t, { config: { MAX_CALLS: '10' } });
    await lab.reload({ PROVIDER_SHARE_PERCENT: '30' });
    await until(() => lab.ari.globals.variables.get('PIPECAT_SHARE_pipecat') === '3', 'the share');
  },
  OVERLOAD_LOOP_MS: async (t) => {
    const lab = await Lab.start(t);
    const busy = setInterval(() => {
      const endMs = performance.now() + 30;
      while (performance.now() < endMs);
    }, 60);
    t.after(() => clearInterval(busy));
    await lab.reload({ OVERLOAD_LOOP_MS: '1' });
    await until(async () => (await readyProblems(lab)).includes('the bridge is overloaded'), 'overloaded');
  },
  OVERLOAD_LATE_PERCENT: async (t) => {
    const lab = await Lab.start(t, { make: late });
    await lab.reload({ OVERLOAD_LATE_PERCENT: '50' });
    await until(async () => (await readyProblems(lab)).includes('the bridge is overloaded'), 'overloaded');
  },
  MAX_CALL_DURATION_S: async (t) => {
    const lab = await startLab(t);
    await lab.reload({ MAX_CALL_DURATION_S: '60' });
    const { status, body } = await api(lab, 'POST', '/calls', { ...ORDER, maxDurationSeconds: 61 });
    assert.equal(status, 422);
    assert.match(JSON.stringify(body), /MAX_CALL_DURATION_S, 60/);
  },
  MAX_DURATION_WARNING_S: async (t) => {
    const lab = await Lab.start(t, { config: { MAX_CALL_DURATION_S: '3600', MAX_DURATION_WARNING_S: '0' } });
    await lab.reload({ MAX_DURATION_WARNING_S: '3599' });
    const { channel, session } = await lab.call();
    await until(() => session.of('limit').length > 0, 'a warning');
    lab.ari.hangUp(channel.id);
  },
  TRANSFER_RING_S: async (t) => {
    const lab = await startLab(t, `${PROVIDER}TRANSFER_METHOD=refer\n`);
    await lab.reload({ TRANSFER_RING_S: '17' });
    const { channel, session } = await lab.call();
    session.send({ event: 'transfer', to: '+4930999000' });
    await until(() => channel.variables.TRANSFER_SECONDS === '17', 'the time limit');
    lab.ari.hangUp(channel.id);
  },
  TRANSFER_CONTEXTS: async (t) => {
    const lab = await startLab(t);
    const { channel } = await lab.call();
    const to = { to: '1', mode: 'dialplan', context: 'people' };
    const transfer = async (id: string) => (await api(lab, 'POST', `/calls/${id}/transfer`, to)).status;
    assert.equal(await transfer(channel.id), 422);
    await lab.reload({ TRANSFER_CONTEXTS: 'people' });
    assert.equal(await transfer(channel.id), 422, 'a call keeps the contexts that it began with');
    lab.ari.hangUp(channel.id);
    const { channel: next } = await lab.call();
    assert.equal(await transfer(next.id), 202);
    lab.ari.hangUp(next.id);
  },
  RECORDINGS_MAX_MB: async (t) => {
    const { directory, names } = recordings(t);
    const lab = await Lab.start(t, { config: { RECORDINGS_DIR: directory } });
    await lab.reload({ RECORDINGS_MAX_MB: '3' });
    await removed(lab, names.slice(0, 1));
  },
  RECORDINGS_DAYS: async (t) => {
    const { directory, names } = recordings(t);
    const lab = await Lab.start(t, { config: { RECORDINGS_DIR: directory } });
    await lab.reload({ RECORDINGS_DAYS: '9.5' });
    await removed(lab, names.slice(0, 1));
  },
  RECORDS_DAYS: async (t) => {
    const lab = await withRecords(t, [oldRecord(1, 5)]);
    assert.equal(await known(lab, 'old-1'), true);
    await lab.reload({ RECORDS_DAYS: '2' });
    await until(async () => (await newest(lab)).length === 0, 'deleted');
  },
  RECORDS_MAX_MB: async (t) => {
    const note = 'x'.repeat(8_000);
    const lab = await withRecords(
      t,
      Array.from({ length: 2_000 }, (_, n) => oldRecord(n, 1, note)),
    );
    assert.equal(await known(lab, 'old-1999'), true);
    await lab.reload({ RECORDS_MAX_MB: '10' });
    await until(async () => !(await known(lab, 'old-1999')), 'the oldest is deleted');
    assert.equal(await known(lab, 'old-0'), true);
  },
  RECORDS_STDOUT: async (t) => {
    const lab = await Lab.start(t);
    await lab.reload({ RECORDS_STDOUT: 'full' });
    const { channel } = await lab.call({ from: '+4930123456' });
    lab.ari.hangUp(channel.id);
    const [line] = await until(() => {
      const lines = lab.logged('call record');
      return lines.length > 0 && lines;
    }, 'the record');
    assert.match(JSON.stringify(line), /\+4930123456/);
  },
  CALLBACK_SECRET: async (t) => {
    const lab = await startLab(t);
    const { url, callbacks } = await receiver(t, 'another-secret');
    await lab.reload({ CALLBACK_SECRET: 'another-secret' });
    await withCallback(lab, url, 'c-1');
    await until(() => callbacks.length > 0, 'a callback');
    assert.equal(callbacks[0]?.isSigned, true);
  },
  CALLBACK_HOSTS: async (t) => {
    const lab = await startLab(t);
    const order = { ...ORDER, callbackUrl: 'http://127.0.0.1:9/status' };
    await lab.reload({ CALLBACK_HOSTS: 'crm.example' });
    assert.equal((await api(lab, 'POST', '/calls', order)).body.errors?.[0]?.field, 'callbackUrl');
  },
  CALLBACK_TRIES: async (t) => {
    const lab = await startLab(t);
    const server = await receiver(t, 'callback-secret');
    server.statuses.push(500, 500, 500);
    await lab.reload({ CALLBACK_TRIES: '2' });
    await withCallback(lab, server.url, 'c-1');
    const [line] = await until(() => {
      const lines = lab.logged('status callback given up');
      return lines.length > 0 && lines;
    }, 'given up');
    assert.equal(line?.tries, 2);
  },
  API_TOKEN: async (t) => {
    const lab = await startLab(t);
    await lab.reload({ API_TOKEN: OTHER_TOKEN });
    assert.equal((await api(lab, 'GET', '/calls')).status, 401);
    const headers = { authorization: `Bearer ${OTHER_TOKEN}` };
    assert.equal((await api(lab, 'GET', '/calls', undefined, headers)).status, 200);
  },
  BOT_TOKEN: async (t) => {
    const lab = await startLab(t);
    const hangUp = async (token: string) => {
      const authorization = `Basic ${Buffer.from(`AC1:${token}`).toString('base64')}`;
      const response = await fetch(
        `http://127.0.0.1:${lab.daemon.httpPort}/2010-04-01/Accounts/AC1/Calls/CA1.json`,
        { method: 'POST', body: new URLSearchParams({ Status: 'completed' }), headers: { authorization } },
      );
      return response.status;
    };
    assert.equal(await hangUp(API_TOKEN), 404);
    await lab.reload({ BOT_TOKEN: OTHER_TOKEN });
    assert.deepEqual([await hangUp(API_TOKEN), await hangUp(OTHER_TOKEN)], [401, 404]);
    const headers = { authorization: `Bearer ${OTHER_TOKEN}` };
    assert.equal((await api(lab, 'GET', '/calls', undefined, headers)).status, 403);
  },
  API_REQUESTS_PER_SECOND: async (t) => {
    const lab = await startLab(t);
    await lab.reload({ API_REQUESTS_PER_SECOND: '1' });
    const answers = await Promise.all([1, 2, 3].map(() => api(lab, 'GET', '/calls')));
    assert.ok(answers.some(({ status }) => status === 429));
  },
  STOP_DRAIN_S: async (t) => {
    const lab = await Lab.start(t);
    await lab.reload({ STOP_DRAIN_S: '7' });
    await lab.stopped();
    assert.equal(lab.logged('bridge draining')[0]?.limitS, 7);
  },
  STOP_MODE: async (t) => {
    const lab = await Lab.start(t);
    await lab.reload({ STOP_MODE: 'handover' });
    assert.equal(await lab.stopped(), 'leave');
  },
  DRAIN_S: async (t) => {
    const lab = await Lab.start(t, { config: { DRAIN_S: '3600' } });
    await lab.reload({ DRAIN_S: '0' });
    const { channel } = await lab.call();
    await Lab.start(t, { ari: lab.ari, bot: lab.bot });
    assert.equal(await lab.daemon.departure.way(), 'leave');
    lab.ari.hangUp(channel.id);
  },
  SHUTDOWN_MS: async (t) => {
    const lab = await Lab.start(t);
    await lab.reload({ SHUTDOWN_MS: '1234' });
    assert.equal(lab.daemon.shutdownMs, 1234);
  },
  LOG_LEVEL: async (t) => {
    const lab = await Lab.start(t);
    await lab.reload({ LOG_LEVEL: 'error' });
    const { channel } = await lab.call();
    lab.ari.hangUp(channel.id);
    await until(async () => (await lab.metric('calls_active')) === 0, 'ended');
    assert.equal(lab.logged('call ended').length, 0);
    await lab.reload({ LOG_LEVEL: 'debug' });
    const { channel: next } = await lab.call();
    lab.ari.hangUp(next.id);
    await lab.ended();
  },
  RECONCILE_MS: async (t) => {
    const lab = await Lab.start(t, { config: { RECONCILE_MS: '3600000' } });
    const reads = () => lab.ari.requests.filter(({ path }) => path === '/channels').length;
    await lab.reload({ RECONCILE_MS: '100' });
    const before = reads();
    await until(() => reads() >= before + 3, 'comparisons');
  },
};
