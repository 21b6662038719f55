import type { TestContext } from 'node:test';
import { API_TOKEN } from './api-client.ts';
import { Lab, until } from './harness.ts';

/** Settings of two processes of the bridge that have one HTTP port. */
export const CONFIG = { ARI_HEARTBEAT_MS: '100', API_TOKEN, API_REQUESTS_PER_SECOND: '10000' };

/** A second process of the bridge on the same Asterisk, with the same HTTP port. */
export async function successor(
  t: TestContext,
  first: Lab,
  config: Record<string, string> = {},
): Promise<Lab> {
  const shared = { ARI_URL: `http://127.0.0.1:${first.ari.port}`, HTTP_PORT: String(first.daemon.httpPort) };
  return await Lab.start(t, { config: { ...CONFIG, ...shared, ...config } });
}

/** The process that answers on the public port. */
export const answering = async (lab: Lab) => JSON.parse((await lab.get('/livez')).body).process as string;

/** Until the second process has the port. */
export const taken = (lab: Lab) => until(() => lab.logged('the HTTP port is ours')[0], 'the port is taken');
