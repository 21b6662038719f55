import { setTimeout as delay } from 'node:timers/promises';
import { AriError } from '../ari/client.ts';

const AGAIN_MS = 200;
const LIMIT_MS = 20_000;

/**
 * A request that is the same when it is carried out twice: where Asterisk gives no reply it is sent again, until `signal` fires or for
 * 20 s, since what was asked for may have come to pass: a caller who was answered would be hung up. Rejects with the last error.
 */
export async function insist(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS;
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isUnheard = error instanceof AriError && error.status === 0;
      if (!isUnheard || signal.aborted || performance.now() >= untilMs) throw error;
      await delay(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }
}
