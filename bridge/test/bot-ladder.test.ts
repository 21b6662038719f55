import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Lab, until } from './harness.ts';

/** A folder with one provider's file. */
function providers(t: TestContext, text: string): { PROVIDERS_DIR: string } {
  const path = mkdtempSync(join(tmpdir(), 'ladder-'));
  t.after(() => rmSync(path, { recursive: true }));
  writeFileSync(join(path, 'pb_fintech.env'), text);
  return { PROVIDERS_DIR: path };
}

describe('a bot that is not there', { concurrency: 6 }, () => {
  test('is tried until BOT_CONNECT_MS is over, at growing intervals, while the caller hears ringing', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_MS: '10000' } });
    const DOWN_MS = 2_500;
    const tries: number[] = [];
    lab.bot.decide = () => {
      tries.push(performance.now());
      return performance.now() - (tries[0] ?? 0) < DOWN_MS ? 503 : 'accept';
    };
    const channel = lab.ari.inbound();
    await until(() => channel.state === 'Up', 'the answer');
    const pauses = tries.slice(1).map((ms, i) => ms - (tries[i] ?? 0));
    assert.ok(tries.length >= 4 && tries.length <= 7, `${tries.length} tries`);
    assert.ok((pauses.at(-1) ?? 0) > 2 * (pauses[0] ?? 0), `pauses ${pauses.map(Math.round)}`);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test("is tried by its provider's limits, where its file has some", async (t) => {
    const file = 'AUTH=ip\nMATCH=127.0.0.1\nBOT_CONNECT_MS=10000\nBOT_CONNECT_TRIES=1\nBOT_RECONNECT_MS=0\n';
    const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '9', ...providers(t, file) } });
    lab.bot.decide = () => 503;
    lab.ari.inbound();
    assert.equal((await lab.ended()).reason.kind, 'bot-unavailable');
    assert.equal(lab.bot.attempts, 1);
    lab.bot.decide = () => 'accept';
    const { session } = await lab.call();
    session.cut();
    assert.equal((await lab.ended(1)).reason.kind, 'bot-lost');
  });
});
