import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { startProcess } from './bridge-process.ts';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '100' };

/** A call of a process that has handed over to a successor. */
interface Handed {
  readonly lab: Lab;
  readonly second: Lab;
  readonly child: ChildProcess;
  readonly channel: FakeChannel;
  readonly firstBot: BotSession;
  /** The app that the first process moved its call to. */
  readonly ownApp: string;
  /** Whether the first process has logged this. */
  readonly hasLogged: (text: string) => boolean;
}

async function handOver(t: TestContext): Promise<Handed> {
  const lab = await Lab.start(t, { config: FAST });
  const { child } = await startProcess(t, lab, FAST);
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  const channel = lab.ari.inbound();
  const firstBot = await until(
    () => lab.bot.sessions[0]?.of('answered').length === 1 && lab.bot.sessions[0],
    'the call is up',
  );
  const ari = `http://127.0.0.1:${lab.ari.port}`;
  const second = await Lab.start(t, { config: { ...FAST, ARI_URL: ari } });
  await until(() => output.includes('handed over to a new process'), 'handed over');
  const ownApp = lab.ari.apps.appOf(channel.id);
  assert.match(ownApp, /^pipecat-[0-9a-f]{8}$/);
  return { lab, second, child, channel, firstBot, ownApp, hasLogged: (text) => output.includes(text) };
}

/** The successor has the call of the process that stands still. */
async function adopted(second: Lab): Promise<BotSession> {
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'adopted');
  return session;
}

/** The caller hears the successor's bot, and nobody has touched the call since. */
async function assertUntouched({ lab, second, channel }: Handed, session: BotSession): Promise<void> {
  assert.equal(lab.ari.channels.has(channel.id), true, 'the caller is there');
  assert.deepEqual(
    channel.done.filter((what) => what === 'continue'),
    [],
  );
  session.speak(speech(3, 9));
  await until(() => lab.ari.mediaOf(channel.id).speech().includes(speech(3, 9)), 'audio');
  lab.ari.hangUp(channel.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
}

test('a heartbeat that comes back while its process stands still is no claim: the calls stay with the successor', async (t) => {
  const handed = await handOver(t);
  const { lab, second, child, ownApp, firstBot } = handed;
  let isStopped = false;
  // The event is in the process's socket when it wakes, before the word that it was replaced.
  lab.ari.before(/^POST \/events\/user\//, ({ query }) => {
    if (!isStopped && query.get('application') === ownApp) isStopped = child.kill('SIGSTOP');
  });
  const session = await adopted(second);
  child.kill('SIGCONT');
  await until(() => firstBot.closed !== undefined, 'the old bot is let go');
  await until(() => handed.hasLogged('the Stasis app was taken over by another process'), 'it knows');
  await assertUntouched(handed, session);
});

test('a bot that hangs up while its process stands still does not end the call of the successor', async (t) => {
  const handed = await handOver(t);
  const { lab, second, child, ownApp, firstBot } = handed;
  const { _socket: socket } = lab.ari.apps.socketOf(ownApp) as unknown as {
    _socket: { cork(): void; uncork(): void };
  };
  child.kill('SIGSTOP');
  // The process reads of its bot's hang-up before it reads that it was replaced.
  socket.cork();
  firstBot.send({ event: 'hangup', immediate: true });
  const session = await adopted(second);
  const before = lab.ari.requests.length;
  child.kill('SIGCONT');
  await until(() => handed.hasLogged('call ended') || firstBot.of('hangup').length > 0, 'it ends its call');
  await until(
    () =>
      lab.ari.requests.slice(before).some(({ method, path, query }) => {
        const asks = path === '/asterisk/variable' && query.get('variable') === `PIPECAT_BRIDGE_${ownApp}`;
        return (method === 'GET' && asks) || path.startsWith(`/channels/${handed.channel.id}`);
      }),
    'it asks who has the app',
  );
  socket.uncork();
  await until(() => handed.hasLogged('the Stasis app was taken over by another process'), 'it knows');
  await assertUntouched(handed, session);
});

test('a claim of a process that is gone does not hold up a bridge that stood still and has the app', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel, session } = await lab.call();
  lab.ari.globals.variables.set('PIPECAT_BRIDGE_pipecat', '00000000/7/100');
  const untilMs = performance.now() + 300;
  while (performance.now() < untilMs);
  session.send({ event: 'hangup', immediate: true });
  await until(() => !lab.ari.channels.has(channel.id), 'the caller is hung up', 4_000);
  assert.equal((await lab.ended()).reason.kind, 'bot-hangup-immediate');
});
