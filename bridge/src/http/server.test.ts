import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { loadConfig } from '../config/environment.ts';
import { Metrics } from '../reports/metrics.ts';
import { CallsElsewhere } from '../switchboard/calls-elsewhere.ts';
import { EventStream } from './event-stream.ts';
import { startHttp } from './server.ts';

const TOKEN = 'token-of-the-api';

test('what fails is in the log, under the id that its answer names, whatever the route', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const boom = () => {
    throw new TypeError('boom');
  };
  const metrics = new Metrics({
    callsActive: boom,
    predecessors: boom,
    media: boom,
    ariUp: boom,
    recordingsStoredBytes: boom,
    gateClosed: () => false,
    overdue: boom,
    callbacks: boom,
    records: boom,
    eventStreams: boom,
    takeovers: boom,
  });
  const config = loadConfig({
    ARI_USERNAME: 'x',
    ARI_PASSWORD: 'unused',
    PIPECAT_URL: 'ws://127.0.0.1:9',
    HTTP_PORT: '0',
    API_TOKEN: TOKEN,
  });
  const server = await startHttp({
    config,
    instance: 'p',
    metrics,
    log,
    readiness: boom,
    hangUp: boom,
    control: { get: boom, has: async () => true } as never,
    counts: () => ({ calls: 0, outbound: {} }),
    elsewhere: new CallsElsewhere(),
    calls: boom,
    events: new EventStream('p'),
    version: '0',
  });
  t.after(() => server.close());
  const origin = `http://127.0.0.1:${server.port}`;
  const basic = `Basic ${btoa(`AC1:${TOKEN}`)}`;
  const twilio = `${origin}/2010-04-01/Accounts/AC1/Calls/CA1.json`;
  const form = new URLSearchParams({ Status: 'completed' });
  for (const request of [
    new Request(`${origin}/calls/c-1`, { headers: { authorization: `Bearer ${TOKEN}` } }),
    new Request(`${origin}/readyz`),
    new Request(`${origin}/metrics`),
    new Request(twilio, { method: 'POST', headers: { authorization: basic }, body: form }),
  ]) {
    lines.length = 0;
    const response = await fetch(request);
    assert.equal(response.status, 500, request.url);
    const { detail } = (await response.json()) as { detail: string };
    const [line] = lines.filter(({ msg }) => msg === 'request failed');
    assert.ok(line, request.url);
    assert.match(detail, new RegExp(`requestId ${line.requestId}$`));
    assert.match(JSON.stringify(line.err), /TypeError.*boom/);
  }
});
