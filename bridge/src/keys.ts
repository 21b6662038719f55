import type { AriClient } from './ari/client.ts';

const TONE_MS = 120;
const PAUSE_MS = 80;

/** Sends keys to a caller: one message after the other, since Asterisk plays them in the order of the requests. */
export class Keys {
  readonly #ari: AriClient;
  readonly #channelId: string;
  #sent = Promise.resolve();

  constructor(ari: AriClient, channelId: string) {
    this.#ari = ari;
    this.#channelId = channelId;
  }

  /** `w` and `,` are pauses of 500 ms. Resolves when Asterisk has taken them. */
  send(digits: string): Promise<void> {
    const asterisks = digits.toUpperCase().replaceAll(/[W,]/g, 'w');
    const send = () => this.#ari.sendDtmf(this.#channelId, asterisks, TONE_MS, PAUSE_MS);
    this.#sent = this.#sent.then(send, send);
    return this.#sent;
  }
}
