import type { AriClient } from '../ari/client.ts';
import type { AriChannel } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';

/** Asterisk's state, as it was read. */
export interface Holdings {
  readonly channels: readonly AriChannel[];
  /** Channels that exist, but that Asterisk cannot show. */
  readonly unreadable: readonly string[];
  readonly bridges: readonly { readonly id: string; readonly channels: readonly string[] }[];
  /** Channels whose events our Stasis app receives. */
  readonly appChannelIds: ReadonlySet<string>;
  /** Start time of Asterisk, as it reports it. Empty if unknown. */
  readonly startedAt: string;
}

/** Concurrent requests when channels are read one by one. */
const ASKED_AT_ONCE = 8;

/**
 * Reads Asterisk's channels and bridges. If Asterisk cannot show one channel, its whole list fails
 * (500). Then channels are read one by one: those of our app, of bridges and of `known`. Rejects
 * with an {@link AriError} if Asterisk does not answer.
 */
export async function readHoldings(ari: AriClient, known: Iterable<string>): Promise<Holdings> {
  const [list, bridges, ours, startedAt] = await Promise.all([
    ari.channels().catch((error: unknown) => {
      if (error instanceof AriError && error.status >= 500) return undefined;
      throw error;
    }),
    ari.bridges(),
    ari.applicationChannels(),
    // Needed only for the reason why calls are gone.
    ari.startedAt().catch(() => ''),
  ]);
  const facts = { bridges, appChannelIds: new Set(ours), startedAt };
  if (list !== undefined) return { ...facts, channels: list, unreadable: [] };
  const ids = new Set([...ours, ...bridges.flatMap(({ channels }) => channels), ...known]);
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
