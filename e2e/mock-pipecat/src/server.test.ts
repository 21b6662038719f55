import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { FakeBridge, type Json } from '../test/fake-bridge.ts';
import { mockPort, mockUrl } from '../test/mock.ts';
import { encode } from './format.ts';
import { GARBAGE } from './garbage.ts';
import { MODES } from './modes.ts';
import { CALLER_HZ, dominantTone, MARKER_HZ, SECOND_HZ, tone } from './tones.ts';

const audioMs = (bridge: FakeBridge) => (bridge.audio().length * 1000) / bridge.rate;
const has = (event: string) => (got: FakeBridge['got']) => got.some((message) => message.event === event);

test('the number plan has every number and name once', () => {
  assert.equal(new Set(MODES.flatMap(({ number, name }) => [number, name])).size, 2 * MODES.length);
});

test('the marker tone is spoken in every encoding and rate, by number with a prefix', async () => {
  const formats = [
    ['pcmu', 8000],
    ['pcma', 8000],
    ['pcm16', 8000],
    ['pcm16', 16000],
    ['pcm16', 24000],
  ] as const;
  for (const [encoding, rate] of formats) {
    const bridge = await new FakeBridge({ to_number: '+918000000102' }, encoding, rate).open();
    await bridge.until(() => audioMs(bridge) >= 120);
    assert.equal(dominantTone(bridge.audio(), rate), MARKER_HZ);
    await bridge.hangUp();
    const view = await bridge.view('?wait=closed');
    assert.equal(view.mode, 'tone');
    assert.deepEqual(view.violations, []);
  }
});

test('a call is recorded as it was: query, start, tones, digits, hang-up, close', async () => {
  const bridge = await new FakeBridge({ to_number: '108', mode: 'dtmf' }).open();
  bridge.send({ event: 'answered' });
  bridge.media(CALLER_HZ, 400);
  bridge.media(0, 200);
  bridge.send({ event: 'dtmf', digit: '5', durationMs: 120 });
  await bridge.until(has('mark'));
  assert.equal(dominantTone(bridge.audio(), 8000), SECOND_HZ);
  bridge.send({ event: 'mark', name: 'digit-5' });
  await bridge.hangUp();
  const view = await bridge.view('?wait=closed');
  assert.equal(view.query.from_number, '+491511');
  assert.equal(view.start.to, '108');
  assert.deepEqual(view.media.heardMs, { [CALLER_HZ]: 400, silence: 200 });
  assert.equal(view.digits, '5');
  assert.deepEqual(
    view.marks.map(({ name, cleared }: Json) => [name, cleared]),
    [['digit-5', false]],
  );
  assert.deepEqual(
    [view.hangup.cause, view.close.code, view.close.by, view.state],
    [16, 1000, 'bridge', 'closed'],
  );
  assert.equal(view.sent.audioMs, 200);
  assert.deepEqual(view.violations, []);
});

test('the parrot greets, then repeats an utterance after the pause', async () => {
  const bridge = await new FakeBridge({ to_number: '4711' }).open();
  await bridge.until(() => audioMs(bridge) >= 2000);
  const greeted = bridge.got.length;
  bridge.media(0, 200);
  bridge.media(CALLER_HZ, 600);
  bridge.media(0, 800);
  await bridge.until(() => bridge.audio(greeted).length >= 8 * 700);
  assert.equal(dominantTone(bridge.audio(greeted).subarray(8 * 250, 8 * 650), 8000), CALLER_HZ);
  await bridge.hangUp();
});

test('a caller who speaks over the bot gets a clear, then the second tone', async () => {
  const bridge = await new FakeBridge({ mode: 'barge-in', after_ms: '0' }).open();
  bridge.media(CALLER_HZ, 200);
  bridge.send({ event: 'answered' });
  await bridge.until((got) => got.filter(({ event }) => event === 'media').length === 1);
  assert.equal(has('clear')(bridge.got), false);
  assert.equal(audioMs(bridge), 30_000);
  const again = setInterval(() => bridge.media(CALLER_HZ, 20), 20);
  await bridge.until((got) => has('clear')(got) && audioMs(bridge) === 30_500);
  clearInterval(again);
  assert.equal(
    dominantTone(bridge.audio(bridge.got.findIndex(({ event }) => event === 'clear')), 8000),
    SECOND_HZ,
  );
  await bridge.hangUp();
});

test('echo gives each payload back', async () => {
  const bridge = await new FakeBridge({ to_number: '101' }).open();
  bridge.media(CALLER_HZ, 100);
  await bridge.until((got) => got.length === 5);
  assert.equal(dominantTone(bridge.audio(), 8000), CALLER_HZ);
  await bridge.hangUp();
});

test('a burst is one message, or as many as asked for', async () => {
  const one = await new FakeBridge({ to_number: '103' }).open();
  await one.until(() => audioMs(one) === 30_000);
  assert.equal(one.got.length, 1);
  const three = await new FakeBridge({ mode: 'burst', ms: '3000', messages: '3' }).open();
  await three.until(() => audioMs(three) === 3000);
  assert.equal(three.got.length, 3);
});

test('the goodbye is sent faster than it plays, and hangup follows', async () => {
  const bridge = await new FakeBridge({ to_number: '107' }).open();
  const got = await bridge.until(has('hangup'));
  assert.equal(audioMs(bridge), 2000);
  assert.equal(got.at(-1)?.event, 'hangup');
  const tookMs = (got.at(-1)?.atMs ?? 0) - (got[0]?.atMs ?? 0);
  assert.ok(tookMs > 450 && tookMs < 1000, `${tookMs} ms`);
  await bridge.hangUp();
});

test('1100-byte messages keep to their grid', async () => {
  const bridge = await new FakeBridge({ mode: 'chunks', ms: '1100' }).open();
  const got = await bridge.until(() => audioMs(bridge) === 1100);
  assert.deepEqual(
    new Set(got.map(({ payload }) => Buffer.from(payload ?? '', 'base64').length)),
    new Set([1100]),
  );
});

test('marks follow their tones', async () => {
  const bridge = await new FakeBridge({ to_number: '117' }).open();
  const got = await bridge.until((all) => all.filter(({ event }) => event === 'mark').length === 5);
  assert.deepEqual(got.map(({ event, name }) => name ?? event).slice(0, 4), [
    'media',
    'mark-1',
    'media',
    'mark-2',
  ]);
});

test('a slow bot accepts later, a refusing one answers 503, one that never answers just listens', async () => {
  const begun = performance.now();
  const slow = await new FakeBridge({ to_number: '109', after_ms: '200' }).open();
  assert.ok(performance.now() - begun >= 199);
  await slow.hangUp();

  const refused = new FakeBridge({ to_number: '110' });
  const [error] = await once(refused.socket, 'error');
  assert.match(error.message, /503/);
  assert.equal((await refused.view('?wait=closed')).state, 'refused');

  const never = new FakeBridge({ to_number: '111' });
  never.socket.on('error', () => {});
  await never.view('?wait=requested');
  const waiting = await fetch(mockUrl(`/calls/${never.callId}?wait=opened&timeout_ms=100`));
  assert.equal(waiting.status, 408);
  never.socket.terminate();
  assert.equal((await never.view('?wait=closed')).state, 'refused');
});

test('the second try is accepted, the first is not', async () => {
  const first = new FakeBridge({ to_number: '120', call_id: 'again' });
  await once(first.socket, 'error');
  const second = await new FakeBridge({ to_number: '120', call_id: 'again' }).open();
  await second.until(() => audioMs(second) > 0);
  assert.equal((await second.view()).attempt, 2);
  assert.equal((await second.view('?attempt=1')).state, 'refused');
  await second.hangUp();
});

test('a bot closes in mid-call with the code of its number, and speaks the second tone to a call that returns', async () => {
  for (const [number, code] of [
    ['112', 1000],
    ['113', 1006],
    ['114', 1011],
  ] as const) {
    const bridge = await new FakeBridge({
      to_number: number,
      after_ms: '100',
      call_id: `closing-${number}`,
    }).open();
    const [closed] = await once(bridge.socket, 'close');
    assert.equal(closed, code);
    assert.equal((await bridge.view('?wait=closed')).close.by, 'mock');
    const back = await new FakeBridge({ to_number: number, call_id: `closing-${number}` }).open();
    await back.until(() => audioMs(back) > 0);
    assert.equal(dominantTone(back.audio(), 8000), SECOND_HZ);
    await back.hangUp();
  }
});

test('a bot that stops reading goes on speaking and notices that the bridge is gone', async () => {
  const bridge = await new FakeBridge({ to_number: '115', ms: '500' }).open();
  await bridge.until(() => audioMs(bridge) > 0);
  bridge.media(CALLER_HZ, 100);
  await bridge.until(() => audioMs(bridge) >= 160);
  assert.equal((await bridge.view()).media.messages, 0);
  bridge.socket.terminate();
  assert.equal((await bridge.view('?wait=closed')).close.code, 1006);
});

test('a bot that hangs speaks, then neither sends nor reads, and greets the call that comes back', async () => {
  const options = { to_number: '124', call_id: 'hanging', after_ms: '200', ms: '1000' };
  const bridge = await new FakeBridge(options).open();
  await bridge.until(() => audioMs(bridge) >= 200);
  bridge.media(CALLER_HZ, 100);
  const back = await new FakeBridge(options).open();
  await back.until(() => audioMs(back) > 0);
  assert.equal(dominantTone(back.audio(), 8000), SECOND_HZ);
  assert.equal(audioMs(bridge), 200);
  bridge.socket.terminate();
  await back.hangUp();
});

test('garbage comes in every kind while the tone goes on', async () => {
  const bridge = await new FakeBridge({ to_number: '116' }).open();
  await bridge.until((got) => got.filter(({ event }) => event !== 'media').length >= 8);
  await bridge.until((got) => got.some(({ payload }) => (payload?.length ?? 0) > 5_000_000));
  assert.ok(Object.keys(GARBAGE).length >= 15);
  await bridge.hangUp();
});

test('a stock bot ends with 2 s of silence and closes', async () => {
  const bridge = await new FakeBridge({ to_number: '122', ms: '200' }).open();
  const [code] = await once(bridge.socket, 'close');
  assert.equal(code, 1000);
  assert.equal(audioMs(bridge), 2200);
});

test('what breaks the wire format is listed', async () => {
  const bridge = new FakeBridge({ to_number: '108' });
  await once(bridge.socket, 'open');
  bridge.media(0, 20);
  bridge.send({ event: 'start', callId: 'x' });
  bridge.socket.send(Buffer.from('x'), { binary: true });
  bridge.socket.send('{');
  bridge.socket.close(1000);
  const whats = (await bridge.view('?wait=closed')).violations.map(({ what }: Json) => what);
  assert.match(
    whats.join('\n'),
    /^media before start\nstart: .*streamId.*\na binary frame\na message that is no JSON\nclosed with 1000 without hangup$/,
  );
});

test('what differs between the query and start, or is no 20 ms, is listed', async () => {
  const bridge = await new FakeBridge({ to_number: '108' }).open({ from: '491511' });
  bridge.send({ event: 'media', encoding: 'pcmu', sampleRate: 8000, payload: 'AAAA', timestamp: 0 });
  await bridge.hangUp();
  const whats = (await bridge.view('?wait=closed')).violations.map(({ what }: Json) => what);
  assert.deepEqual(whats, ['start and query differ in from_number', 'media of 3 bytes, not 20 ms']);
});

test('tests drive a call by hand: messages and close', async () => {
  const bridge = await new FakeBridge({ to_number: '108' }).open();
  const base = mockUrl(`/calls/${bridge.callId}`);
  const messages = [{ event: 'mark', name: 'm' }, { event: 'clear' }];
  await bridge.view('?wait=started');
  const sent = await fetch(`${base}/send`, { method: 'POST', body: JSON.stringify(messages) });
  assert.deepEqual(await sent.json(), { sent: 2 });
  await bridge.until(has('clear'));
  await fetch(`${base}/close?code=1011`, { method: 'POST' });
  const [code] = await once(bridge.socket, 'close');
  assert.equal(code, 1011);
  assert.equal((await fetch(`${base}/send`, { method: 'POST', body: '{}' })).status, 409);
});

test('a test can have the bot say anything at any pace', async () => {
  const bridge = await new FakeBridge({ to_number: '108' }).open();
  await bridge.view('?wait=started');
  const body = new Uint8Array(encode(tone(MARKER_HZ, 200, 8000), 'pcmu'));
  const url = mockUrl(`/calls/${bridge.callId}/say?chunk_ms=150&interval_ms=10`);
  const { atMs } = (await (await fetch(url, { method: 'POST', body })).json()) as { atMs: number };
  await bridge.until(() => audioMs(bridge) === 200);
  assert.equal(bridge.got.filter(({ event }) => event === 'media').length, 2);
  assert.equal(dominantTone(bridge.audio(), 8000), MARKER_HZ);
  const { sent } = await bridge.view();
  assert.ok(sent.firstAtMs >= atMs && sent.firstAtMs - atMs < 100);
  await bridge.hangUp();
});

test('with binary framing audio is raw both ways, and what the bridge tells of clear and speech is kept', async () => {
  const bridge = await new FakeBridge({ to_number: '101' }).open({ framing: 'binary' });
  const audio = encode(tone(CALLER_HZ, 20, 8000), 'pcmu');
  const echo = once(bridge.socket, 'message');
  bridge.socket.send(audio);
  assert.deepEqual(await echo, [audio, true]);
  bridge.send({ event: 'cleared', ms: 40 });
  bridge.send({ event: 'speech', state: 'start' });
  await bridge.hangUp();
  const view = await bridge.view('?wait=closed');
  assert.deepEqual(view.media.heardMs, { [CALLER_HZ]: 20 });
  assert.deepEqual([view.cleared[0].ms, view.speech[0].state], [40, 'start']);
  assert.deepEqual(view.violations, []);
});

test('calls are listed newest first and by query, and forgotten on demand', async () => {
  const bridge = await new FakeBridge({ to_number: '108', from_number: '+4930' }).open();
  await bridge.hangUp();
  const list = async (query = ''): Promise<Json[]> =>
    (await (await fetch(mockUrl(`/calls${query}`))).json()) as Json[];
  const found = await list('?from_number=%2B4930');
  assert.deepEqual(
    found.map(({ callId }: Json) => callId),
    [bridge.callId],
  );
  assert.equal((await list())[0]?.callId, bridge.callId);
  await fetch(mockUrl('/calls'), { method: 'DELETE' });
  assert.deepEqual(await list(), []);
});

test('bad requests get an answer, not a crash', async () => {
  assert.equal((await fetch(mockUrl('/healthz'))).status, 200);
  assert.equal((await fetch(mockUrl('/nothing'))).status, 404);
  assert.equal((await fetch(mockUrl('/calls/x'))).status, 404);
  assert.equal((await fetch(mockUrl('/calls/x?wait=nonsense'))).status, 400);
  const unknownMode = new FakeBridge({ mode: 'nonsense' });
  const [error] = await once(unknownMode.socket, 'error');
  assert.match(error.message, /400/);
  const raw = connect(mockPort(), '127.0.0.1');
  raw.end('GET //% HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await once(raw.resume(), 'close');
});
