import { type AriClient, AriError } from '../ari/client.ts';
import type { AriChannel } from '../ari/model.ts';
import type { Holdings } from './reconciliation.ts';

/** How many channels are asked for at once, where they must be asked for one by one. */
const ASKED_AT_ONCE = 8;

/**
 * Reads what Asterisk holds. One channel that Asterisk cannot show makes its whole list fail (500): then they are asked for one by one,
 * those that our app, a bridge or `known` names. Rejects with an {@link AriError} where Asterisk does not reply.
 */
export async function readHoldings(ari: AriClient, known: Iterable<string>): Promise<Holdings> {
  const [list, bridges, held, startedAt] = await Promise.all([
    ari.channels().catch((error: unknown) => {
      if (error instanceof AriError && error.status >= 500) return undefined;
      throw error;
    }),
    ari.bridges(),
    ari.applicationChannels(),
    // Only tells why calls are gone.
    ari.startedAt().catch(() => ''),
  ]);
  const facts = { bridges, appChannelIds: new Set(held), startedAt };
  if (list !== undefined) return { ...facts, channels: list, unreadable: [] };
  const ids = new Set([...held, ...bridges.flatMap(({ channels }) => channels), ...known]);
  return { ...facts, ...(await oneByOne(ari, [...ids])) };
}

async function oneByOne(
  ari: AriClient,
  ids: readonly string[],
): Promise<{ channels: AriChannel[]; unreadable: string[] }> {
  const channels: AriChannel[] = [];
  const unreadable: string[] = [];
  const waiting = [...ids];
  const ask = async (): Promise<void> => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      try {
        const channel = await ari.channel(id);
        if (channel !== undefined) channels.push(channel);
      } catch (error) {
        if (!(error instanceof AriError) || error.status < 500) throw error;
        unreadable.push(id);
      }
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
  return { channels, unreadable };
}
