/**
 * The process of the bridge stands still, as by SIGSTOP or in a host that is suspended.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from './bridge-process.ts';
import { Lab, speech, until } from './harness.ts';

/** A process with a call, which can be stopped. */
async function withCall(t: TestContext, firstPort: number) {
  const lab = await Lab.start(t);
  const { child } = await startProcess(t, lab, {
    RTP_PORT_MIN: String(firstPort),
    RTP_PORT_MAX: String(firstPort + 9),
  });
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  const channel = lab.ari.inbound();
  const bot = () => lab.bot.sessions.at(-1);
  await until(() => bot()?.of('answered').length === 1, 'the call is up');
  let marker = 0;
  return {
    lab,
    channel,
    output: () => output,
    /** Stops the process so long. Resolves to how long after its end each side hears the other. */
    stopFor: async (ms: number): Promise<{ botMs: number; callerMs: number }> => {
      child.kill('SIGSTOP');
      await delay(ms);
      child.kill('SIGCONT');
      const sinceMs = performance.now();
      marker += 1;
      const said = speech(3, marker);
      const heard = speech(5, marker);
      const rtp = lab.ari.mediaOf(channel.id);
      let botMs = 0;
      let callerMs = 0;
      bot()?.speak(said);
      await until(() => {
        rtp.send(heard);
        const ms = Math.round(performance.now() - sinceMs);
        if (callerMs === 0 && rtp.speech().includes(said)) callerMs = ms;
        if (botMs === 0 && bot()?.audio().includes(heard)) botMs = ms;
        return callerMs > 0 && botMs > 0;
      }, 'both hear each other');
      return { botMs, callerMs };
    },
  };
}

describe('a process that stands still keeps its call and its bot', { concurrency: true }, () => {
  test('20 stops, of 0.1 to 1 s', async (t) => {
    const { lab, channel, stopFor, output } = await withCall(t, 60_700);
    const heardMs: number[] = [];
    for (let stop = 0; stop < 20; stop += 1) {
      const { botMs, callerMs } = await stopFor(100 + (stop % 4) * 300);
      heardMs.push(Math.max(botMs, callerMs));
      await delay(200);
    }
    t.diagnostic(`heard after ${heardMs.join(', ')} ms`);
    assert.equal(lab.bot.sessions.length, 1);
    assert.equal(lab.ari.channels.has(channel.id), true);
    lab.ari.hangUp(channel.id);
    await until(() => output().includes('"caller-hangup"'), 'it ends as the caller wanted');
  });

  test('one stop of 60 s', async (t) => {
    const { lab, channel, stopFor, output } = await withCall(t, 60_720);
    const { botMs, callerMs } = await stopFor(60_000);
    t.diagnostic(`the bot hears after ${botMs} ms, the caller after ${callerMs} ms`);
    assert.equal(lab.bot.sessions.length, 1);
    assert.equal(lab.ari.channels.has(channel.id), true);
    lab.ari.hangUp(channel.id);
    await until(() => output().includes('"caller-hangup"'), 'it ends as the caller wanted');
  });
});
