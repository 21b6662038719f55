import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type BotSession, FakeBot } from '../test/fake-bot.ts';
import { checkBot } from './check.ts';
import type { Finding } from './finding.ts';
import { parseOptions } from './options.ts';
import { checkPlan } from './plan.ts';

const PATIENCE = {
  connectMs: 4_000,
  greetingMs: 500,
  greetingEndMs: 500,
  pingMs: 1_000,
  silenceMs: 100,
  responseMs: 500,
  offenceMs: 100,
};

/** Checks a bot that does `act` with every connection; the findings by step. */
async function check(t: TestContext, act: (session: BotSession, bot: FakeBot) => void, ...args: string[]) {
  const bot = await FakeBot.start();
  t.after(() => bot.close());
  bot.onSession = (session) => act(session, bot);
  const plan = checkPlan(parseOptions(['--url', bot.url, ...args]), 'Bearer secret');
  const { findings } = await checkBot({ ...plan, patience: PATIENCE }, () => {});
  const found = new Map<string, Finding>(findings.map((finding) => [finding.step, finding]));
  const of = (step: string) => found.get(step) ?? assert.fail(`no ${step}`);
  return { of, sessions: bot.sessions };
}

const LOUD = 0x20;

describe('what the lab’s bot never does', { concurrency: true }, () => {
  test('more audio than is held is lost, and fails', async (t) => {
    const { of } = await check(t, (session) => session.speak(Buffer.alloc(130_000 * 8, LOUD)));
    const { verdict, detail } = of('audio');
    assert.equal(verdict, 'fail');
    assert.match(detail, /; 80000 bytes lost$/);
  });

  test('messages that end within a sample are advised against', async (t) => {
    const act = (session: BotSession) => {
      for (const bytes of [321, 319, 320]) session.speak(Buffer.alloc(bytes, LOUD));
    };
    const { of } = await check(t, act, '--encoding', 'pcm16');
    assert.equal(of('audio').verdict, 'advice');
    assert.match(of('audio').advice ?? '', /^2 messages end within a 16-bit sample/);
  });

  test('audio of another encoding or rate is converted, of one that no bridge takes refused', async (t) => {
    const act = (session: BotSession) => {
      session.speak(Buffer.alloc(1600, LOUD), { encoding: 'pcma' });
      session.speak(Buffer.alloc(1600, LOUD), { encoding: 'pcm16', sampleRate: 16_000 });
      session.speak(Buffer.alloc(1600, LOUD), { encoding: 'pcm16', sampleRate: 44_100 });
    };
    const { of } = await check(t, act);
    assert.match(of('audio').detail, /^250 ms of pcma, pcm16 at 16000 Hz in 2 messages/);
    assert.match(
      of('messages').detail,
      /^wrong-encoding ×1 \(the bot sends pcm16 at 44100 Hz; this call is pcmu at 8000 Hz/,
    );
  });

  test('a bot that serves one call at a time fails beside the first only', async (t) => {
    const { of } = await check(t, (session, bot) => {
      bot.decide = () => 503;
      session.speak(Buffer.alloc(800, LOUD));
    });
    assert.equal(of('second call').verdict, 'fail');
    assert.match(of('second call').detail, /^beside the first: Unexpected server response: 503/);
    assert.equal(of('hang-up').verdict, 'pass');
  });

  test('transfer, keys and events of its own are named, and answered', async (t) => {
    const { of, sessions } = await check(t, (session) => {
      session.send({ event: 'transfer', to: '+4930' });
      session.send({ event: 'dtmf', digits: '1' });
      session.send({ event: 'mood', is: 'good' });
      session.send({ event: 'recording', state: 'pause' });
    });
    assert.equal(
      of('messages').detail,
      'all understood; also transfer ×1, dtmf ×1, unknown mood ×1, recording ×1',
    );
    assert.equal(sessions[0]?.of('transfer')[0]?.status, 'failed');
    assert.equal(sessions[0]?.of('recording')[0]?.state, 'off');
    assert.equal(sessions[0]?.request.headers.authorization, 'Bearer secret');
  });

  test('the call is a bridge’s: start, answered, audio of 20 ms, hangup, close 1000', async (t) => {
    const { sessions } = await check(t, (session) => session.speak(Buffer.alloc(800, LOUD)));
    const [first, second] = sessions;
    assert.deepEqual(first?.order(), [
      'start',
      'answered',
      'media',
      'dtmf',
      'media',
      'bot-check',
      'media',
      'hangup',
    ]);
    assert.deepEqual(second?.order(), ['start', 'answered', 'media', 'hangup']);
    assert.equal((first?.audio().length ?? 1) % 160, 0);
    assert.deepEqual([first?.closed, second?.closed], [1000, 1000]);
  });
});
