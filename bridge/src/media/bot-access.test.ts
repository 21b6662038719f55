import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { BotAccess } from './bot-access.ts';

const log = pino({ level: 'silent' });

/** A call's media that counts how often it may try. */
class Seeker {
  readonly botName = 'ws://bot.example/';
  tries = 0;

  admitted(): void {
    this.tries += 1;
  }
}

test('each call that asks is let in once, whoever asks at the same moment', async () => {
  const access = new BotAccess(100, log);
  const seekers = Array.from({ length: 60 }, () => new Seeker());
  for (const seeker of seekers.slice(0, 50)) if (access.ask(seeker, false)) seeker.admitted();
  // Others are due when these ask.
  for (const seeker of seekers.slice(50)) {
    await delay(11);
    if (access.ask(seeker, false)) seeker.admitted();
  }
  while (access.waiting > 0) await delay(10);
  assert.deepEqual(
    seekers.map(({ tries }) => tries),
    seekers.map(() => 1),
  );
  access.close();
});

test('a bot without trouble leaves nothing behind, and one that is down is named', () => {
  const access = new BotAccess(100, log);
  const seeker = new Seeker();
  assert.equal(access.ask(seeker, true), true);
  access.succeeded(seeker);
  assert.deepEqual(access.problems, []);
  for (let i = 0; i < 3; i++) access.failed(seeker, 'ECONNREFUSED', false);
  assert.deepEqual(access.problems, ['ws://bot.example/: ECONNREFUSED, for 0 s']);
  assert.deepEqual(access.stats, { failedTries: 3, outages: 1 });
  access.succeeded(seeker);
  assert.deepEqual(access.problems, []);
  access.close();
});

test('a refusal of one call says nothing of the bot', () => {
  const access = new BotAccess(100, log);
  for (let i = 0; i < 9; i++) access.failed(new Seeker(), 'Unexpected server response: 403', true);
  assert.deepEqual(access.problems, []);
  access.close();
});
