import { setTimeout as delay } from 'node:timers/promises';
import type { MediaSession } from '../media/session.ts';

/** Time for Asterisk to forward our last packet before what ends the audio, ms. */
export const TAIL_MS = 100;

/** Resolves when the bot's queued audio is played, or when `signal` fires. Never rejects. */
export async function playLastWords(media: MediaSession, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  if (signal.aborted) return;
  await Promise.race([media.drain().catch(() => {}), aborted]);
  // Asterisk still has to forward our last packet.
  await delay(TAIL_MS, undefined, { signal }).catch(() => {});
}
