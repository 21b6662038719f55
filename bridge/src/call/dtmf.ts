import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';

const TONE_MS = 120;
const GAP_MS = 80;
/** A `w` or a comma. */
const PAUSE_MS = 500;
/** Keys that Asterisk plays by one request: it cannot be told to stop, and a channel that is hung up meanwhile stays until they are out. */
const KEYS_AT_ONCE = 5;
/** How much may wait to be played: two of the longest messages. What is over it is not taken. */
const WAITING_MAX_MS = 130_000;

/** Keys that Asterisk is given at once, or a pause of ours. */
type Part =
  | { readonly keys: string; readonly ms: number }
  | { readonly keys: undefined; readonly ms: number };

/** Cuts `12w#` into what is played at once and the pauses between. */
export function keyParts(digits: string): Part[] {
  const pieces = digits.toUpperCase().match(new RegExp(`[W,]+|[^W,]{1,${KEYS_AT_ONCE}}`, 'g')) ?? [];
  return pieces.map((piece) =>
    /^[W,]/.test(piece)
      ? { keys: undefined, ms: piece.length * PAUSE_MS }
      : { keys: piece, ms: piece.length * (TONE_MS + GAP_MS) },
  );
}

/** Sends keys to a caller, few at a time and the pauses by our own clock, so that nothing of them outlives the call. */
export class DtmfSender {
  readonly #ari: AriClient;
  readonly #signal: AbortSignal;
  #waitingMs = 0;
  #sent = Promise.resolve();

  /** `signal` drops what has not been played. */
  constructor(ari: AriClient, signal: AbortSignal) {
    this.#ari = ari;
    this.#signal = signal;
  }

  /** `w` and `,` are pauses of 500 ms. Resolves when all is played or dropped; rejects where too much waits, or Asterisk refuses. */
  send(channelId: string, digits: string): Promise<void> {
    const parts = keyParts(digits);
    const totalMs = parts.reduce((sum, { ms }) => sum + ms, 0);
    if (this.#waitingMs + totalMs > WAITING_MAX_MS)
      return Promise.reject(new Error('too many keys are waiting'));
    this.#waitingMs += totalMs;
    const play = () => this.#play(channelId, parts).finally(() => (this.#waitingMs -= totalMs));
    this.#sent = this.#sent.then(play, play);
    return this.#sent;
  }

  async #play(channelId: string, parts: readonly Part[]): Promise<void> {
    for (const { keys, ms } of parts) {
      if (this.#signal.aborted) return;
      if (keys !== undefined) await this.#ari.sendDtmf(channelId, keys, TONE_MS, GAP_MS);
      await delay(ms, undefined, { signal: this.#signal }).catch(() => {});
    }
  }
}
