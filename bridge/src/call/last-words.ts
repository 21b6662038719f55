import { setTimeout as delay } from 'node:timers/promises';
import type { MediaSession } from '../media/session.ts';

/** From our last packet to the hang-up. */
const TAIL_MS = 100;

/** Resolves when the bot's last words are played, or as soon as `signal` fires: nobody listens any more. Never rejects. */
export async function playLastWords(media: MediaSession, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  if (signal.aborted) return;
  await Promise.race([media.drain().catch(() => {}), aborted]);
  // The last packet has left us, but Asterisk has yet to pass it on.
  await delay(TAIL_MS, undefined, { signal }).catch(() => {});
}
