import type { Logger } from '../log.ts';
import type { Ending } from './ending.ts';

/** What a running call writes to the log. */
export class CallLog {
  readonly #log: Logger;
  readonly #callId: () => string;
  readonly #ending: Ending;

  constructor(log: Logger, callId: () => string, ending: Ending) {
    this.#log = log;
    this.#callId = callId;
    this.#ending = ending;
  }

  /** A failure that does not end the call. */
  warn(detail: string | undefined, message: string): void {
    this.#log.warn({ callId: this.#callId(), detail }, message);
  }

  /** A step that must not delay the call. Its failure shows in later steps. */
  inBackground(step: Promise<unknown>, name: string): void {
    step.catch((error: Error) =>
      this.#log.debug({ callId: this.#callId(), step: name, error: error.message }, 'step failed'),
    );
  }

  /** An object of the call could not be released. */
  releaseFailed(error: Error): void {
    // Refused by our own client: Asterisk's objects now belong to the other process.
    if (this.#ending.reason?.kind !== 'taken-over')
      this.warn(error.message, 'release failed; left to reconciliation');
  }
}
