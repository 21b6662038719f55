import { setTimeout as delay } from 'node:timers/promises';
import { AriError } from '../ari/requests.ts';

const AGAIN_MS = 200;
const LIMIT_MS = 20_000;

/**
 * Repeats an idempotent request while Asterisk does not reply, until `signal` fires or for 20 s.
 * Asterisk may have executed it: without a repeat an answered caller would be hung up. Rejects with
 * the last error.
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
