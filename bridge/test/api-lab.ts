import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, type LabOptions, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/** The provider's file. */
export const PROVIDER = 'COUNTRY_CODE=49\nNUMBER_FORMAT=national\nCALLER_ID=+4930111\n';

/** A lab with a token and one provider. */
export async function startLab(t: TestContext, provider = PROVIDER, options: LabOptions = {}): Promise<Lab> {
  const directory = providersDirectory(t, provider);
  return await Lab.start(t, {
    ...options,
    config: { API_TOKEN, PROVIDERS_DIR: directory, CALLBACK_TRIES: '1', ...options.config },
  });
}

/** An order for `POST /calls`. */
export const ORDER = { to: '+4930777777', provider: 'pb_fintech', callId: 'c-1' };

/** Places a call; its channel, once it was dialled. */
export async function place(lab: Lab, order: object = {}): Promise<FakeChannel> {
  const { status, body } = await api(lab, 'POST', '/calls', { ...ORDER, ...order });
  assert.equal(status, 202, JSON.stringify(body));
  return await until(() => {
    const channel = lab.ari.channels.get(body.channelId);
    return channel?.done.includes('dial') && channel;
  }, 'dialled');
}
