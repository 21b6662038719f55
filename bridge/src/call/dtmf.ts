import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';

const TONE_MS = 120;
const GAP_MS = 80;
/** Length of a `w` or a comma. */
const PAUSE_MS = 500;
/**
 * Digits per request. Asterisk cannot be told to stop, and a channel that is hung up stays until
 * they are played.
 */
const KEYS_AT_ONCE = 5;
/** Longest playing time of waiting digits: two of the longest messages. More is refused. */
const WAITING_MAX_MS = 130_000;

/** Digits that Asterisk plays in one request, or a pause that we time. */
type Part =
  | { readonly keys: string; readonly ms: number }
  | { readonly keys: undefined; readonly ms: number };

/** Splits `12w#` into digits of one request each, and pauses. */
export function keyParts(digits: string): Part[] {
  const pieces = digits.toUpperCase().match(new RegExp(`[W,]+|[^W,]{1,${KEYS_AT_ONCE}}`, 'g')) ?? [];
  return pieces.map((piece) =>
    /^[W,]/.test(piece)
      ? { keys: undefined, ms: piece.length * PAUSE_MS }
      : { keys: piece, ms: piece.length * (TONE_MS + GAP_MS) },
  );
}

/**
 * Sends DTMF digits to a caller, a few per request. Pauses are timed here. So no digit is played
 * after the call's end.
 */
export class DtmfSender {
  readonly #ari: AriClient;
  readonly #channelId: () => string;
  readonly #signal: AbortSignal;
  #waitingMs = 0;
  #sent = Promise.resolve();

  /**
   * `channelId` is asked for each digit: another channel may replace the caller's meanwhile.
   * `signal` drops digits that have not been played.
   */
  constructor(ari: AriClient, channelId: () => string, signal: AbortSignal) {
    this.#ari = ari;
    this.#channelId = channelId;
    this.#signal = signal;
  }

  /**
   * `w` and `,` are pauses of 500 ms. Resolves when all digits are played or dropped. Rejects if
   * too many wait, or if Asterisk refuses.
   */
  send(digits: string): Promise<void> {
    const parts = keyParts(digits);
    const totalMs = parts.reduce((sum, { ms }) => sum + ms, 0);
    if (this.#waitingMs + totalMs > WAITING_MAX_MS)
      return Promise.reject(new Error('too many keys are waiting'));
    this.#waitingMs += totalMs;
    const play = () => this.#play(parts).finally(() => (this.#waitingMs -= totalMs));
    this.#sent = this.#sent.then(play, play);
    return this.#sent;
  }

  async #play(parts: readonly Part[]): Promise<void> {
    for (const { keys, ms } of parts) {
      if (this.#signal.aborted) return;
      if (keys !== undefined) await this.#ari.sendDtmf(this.#channelId(), keys, TONE_MS, GAP_MS);
      await delay(ms, undefined, { signal: this.#signal }).catch(() => {});
    }
  }
}
