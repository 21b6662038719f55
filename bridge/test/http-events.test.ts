import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN } from './api-client.ts';
import { Lab, until } from './harness.ts';
import { answering, CONFIG, successor, taken } from './http-successor.ts';

/** The events of a call. */
const NAMES = ['call.started', 'call.answered', 'call.active', 'call.ended'];

/** What a listener had: the call and name of each event. */
interface Listener {
  readonly events: { readonly call: string; readonly name: string }[];
  /** How often it connected. */
  connections: number;
  /** Connections that were cut, not ended. */
  cuts: number;
}

/** Listens as EventSource does: reconnects with the last id, at the server's interval. */
function eventSource(t: TestContext, port: number, isSlow = false): Listener {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const listener: Listener = { events: [], connections: 0, cuts: 0 };
  let lastId = '';
  let retryMs = 3_000;
  const read = (block: string) => {
    const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
    lastId = fields.get('id') ?? lastId;
    retryMs = Number(fields.get('retry') ?? retryMs);
    const name = fields.get('event');
    if (name === undefined) return;
    const { call } = JSON.parse(fields.get('data') ?? '{}');
    listener.events.push({ call: call?.channelId ?? '', name });
  };
  const connect = async () => {
    const last = lastId === '' ? {} : { 'last-event-id': lastId };
    const response = await fetch(`http://127.0.0.1:${port}/events`, {
      headers: { authorization: `Bearer ${API_TOKEN}`, ...last },
      signal: abort.signal,
    });
    assert.equal(response.status, 200);
    listener.connections += 1;
    let text = '';
    for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(
      new TextDecoderStream(),
    )) {
      const blocks = (text + chunk).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) read(block);
    }
  };
  const run = async () => {
    while (!abort.signal.aborted) {
      await connect().catch(() => {
        if (!abort.signal.aborted) listener.cuts += 1;
      });
      await delay(isSlow ? 1_500 : retryMs, undefined, { signal: abort.signal });
    }
  };
  run().catch(() => {});
  return listener;
}

test('who listens to events is told all of both processes, once and in order, through the handover', async (t) => {
  const first = await Lab.start(t, { config: CONFIG });
  const port = first.daemon.httpPort;
  const listeners = [eventSource(t, port), eventSource(t, port, true)];
  await until(() => listeners.every(({ connections }) => connections === 1), 'they listen');
  const calls = Array.from({ length: 8 }, () => first.ari.inbound().id);
  await until(
    () => first.bot.sessions.filter((session) => session.of('answered').length > 0).length === 8,
    'up',
  );
  // Calls end all the time: before the handover, in it, and after it.
  const ending = (async () => {
    for (const id of calls.slice(0, 7)) {
      await delay(150);
      first.ari.hangUp(id);
    }
  })();
  const before = await answering(first);
  const second = await successor(t, first);
  await taken(second);
  await until(async () => (await answering(second)) !== before, 'the new process answers');
  const young = first.ari.inbound().id;
  await second.session();
  await ending;
  await until(() => listeners.every(({ connections }) => connections > 1), 'they listen to the new process');
  first.ari.hangUp(calls[7] ?? '');
  await first.ended(7);
  await first.stop();
  first.ari.hangUp(young);
  await second.ended();
  for (const { events, cuts } of listeners) {
    const of = (id: string) => events.filter(({ call }) => call === id).map(({ name }) => name);
    await until(() => of(young).includes('call.ended'), 'the last event');
    for (const id of [...calls, young]) assert.deepEqual(of(id), NAMES, id);
    assert.equal(events.length, 9 * NAMES.length, 'no gap');
    assert.equal(cuts, 0);
  }
});
