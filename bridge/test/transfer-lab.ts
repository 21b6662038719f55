import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/** Where calls are transferred to. */
export const TO = '+4930999000';

/** A daemon that knows the provider, whose transfers go by `method`. */
export async function start(
  t: TestContext,
  method: string,
  config: Record<string, string> = {},
): Promise<Lab> {
  const file = `COUNTRY_CODE=49\nALLOWED_PREFIXES=+49,!+49900\nTRANSFER_METHOD=${method}\n`;
  const directory = providersDirectory(t, file);
  return Lab.start(t, { config: { PROVIDERS_DIR: directory, TRANSFER_RING_S: '5', ...config } });
}

/** The second leg, as soon as it was dialled. */
export async function leg(lab: Lab, of: FakeChannel, number = 1): Promise<FakeChannel> {
  return await until(() => {
    const channel = lab.ari.channels.get(
      lab.ari.ownOf(of.id, 'pct').find((id) => id.includes(`.${number}-`)) ?? '',
    );
    return channel?.done.includes('dial') && channel;
  }, 'the second leg is dialled');
}

/** The bot's words on its transfers. */
export const told = (session: BotSession) =>
  session.of('transfer').map(({ status, reason }) => (reason === undefined ? status : `${status} ${reason}`));

export const members = (lab: Lab, channel: FakeChannel) => [...(lab.ari.membersOf(channel.id) ?? [])];

export async function failed(session: BotSession, reason: string): Promise<void> {
  await until(() => told(session).includes(`failed ${reason}`), `transfer failed: ${reason}`);
}

/** Caller and bot hear each other. */
export async function assertTalking(lab: Lab, channel: FakeChannel, session: BotSession): Promise<void> {
  await until(() => members(lab, channel).length === 2, 'caller and media channel in the bridge');
  assert.deepEqual(members(lab, channel).sort(), [channel.id, lab.ari.mediaIdOf(channel.id)].sort());
  const rtp = lab.ari.mediaOf(channel.id);
  const before = rtp.speech().length;
  session.speak(speech(3, 5));
  await until(() => rtp.speech().length >= before + 480, 'the bot is heard again');
}

export async function hangUpAndEnd(lab: Lab, channel: FakeChannel): Promise<void> {
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
}
