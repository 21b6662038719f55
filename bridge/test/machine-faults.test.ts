/**
 * What the machine may do to the bridge: no descriptors left, a clock that is set.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';

/** Caller and bot hear each other. `seed`: another sound for each time. */
async function expectTalk(lab: Lab, channel: FakeChannel, session: BotSession, seed: number): Promise<void> {
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(3, seed));
  await until(() => rtp.speech().includes(speech(3, seed)), 'the caller hears the bot');
  const said = speech(1, seed + 1);
  await until(() => {
    rtp.send(said);
    return session.audio().includes(said);
  }, 'the bot hears the caller');
}

test('no file descriptor is left: a new caller gets the fallback, calls go on, and new ones come when there are some', async (t) => {
  const lab = await Lab.start(t);
  const settings = { BOT_CONNECT_MS: '500', PLAYOUT_PREBUFFER_MS: '0' };
  const { child } = await startProcess(t, lab, settings);
  const pid = String(child.pid);
  const limit = (count: number) => execFileSync('prlimit', ['--pid', pid, `--nofile=${count}:4096`]);
  const { channel, session } = await lab.call();
  await expectTalk(lab, channel, session, 1);
  // The lowest number that is free comes next: below the limit none is.
  const open = readdirSync(`/proc/${pid}/fd`).map(Number);
  const free = Array.from({ length: open.length + 1 }, (_, fd) => fd).find((fd) => !open.includes(fd)) ?? 0;
  limit(free);
  const refused = lab.ari.inbound();
  await until(() => refused.continued || !lab.ari.channels.has(refused.id), 'the new caller is given back');
  assert.equal(refused.continued, true);
  await expectTalk(lab, channel, session, 3);
  limit(4_096);
  const next = await lab.call();
  await expectTalk(lab, next.channel, next.session, 5);
  await expectTalk(lab, channel, session, 7);
  assert.equal(lab.bot.sessions.length, 2);
  assert.equal(child.exitCode, null);
  for (const { id } of [channel, next.channel]) lab.ari.hangUp(id);
  await until(() => next.session.closed !== undefined && session.closed !== undefined, 'the ends');
});

/** Sets this process's clock: control's. Its monotonic clock goes on, as the kernel's does. */
function setClock(t: TestContext, byMs: number): void {
  const Real = Date;
  t.mock.method(globalThis.Date, 'now', () => new Real().getTime() + byMs);
}

for (const [what, byMs] of [
  ['forwards', 3_600_000],
  ['back', -3_600_000],
] as const)
  test(`the clock is set ${what} by an hour: the call goes on, new ones come, and each lasts as long as it lasted`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'clock-'));
    t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
    const config = { RECORDS_DIR: directory, API_TOKEN, MAX_CALL_DURATION_S: '600' };
    const lab = await Lab.start(t, { config });
    const before = await lab.call({ variables: { X_CALL_ID: 'before' } });
    await expectTalk(lab, before.channel, before.session, 1);
    setClock(t, byMs);
    await expectTalk(lab, before.channel, before.session, 3);
    const after = await lab.call({ variables: { X_CALL_ID: 'after' } });
    await expectTalk(lab, after.channel, after.session, 5);
    assert.equal((await lab.get('/readyz')).status, 200);
    for (const { channel } of [before, after]) lab.ari.hangUp(channel.id);
    await lab.ended(1);
    for (const id of ['before', 'after']) {
      const record = await until(async () => {
        const { body } = await api(lab, 'GET', `/calls/${id}`);
        return body.state === 'closed' && body;
      }, `the record of ${id}`);
      const { offered, ended } = record.times;
      const lastedMs = Date.parse(ended) - Date.parse(offered);
      assert.ok(lastedMs >= 0 && lastedMs < 60_000, `${id} lasted ${lastedMs} ms`);
      assert.equal(record.endReason, 'caller-hangup');
    }
  });
