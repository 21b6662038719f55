import type { Dial } from './dial.ts';
import type { CallInfo } from './info.ts';
import { AnswerProof } from './usable-answer.ts';

/** Whether a call is answered: by its callee, or by us. */
export class Answer {
  /** The outbound dial of a call of ours. */
  readonly dial: Dial | undefined;
  readonly proof: AnswerProof;
  #isGiven: boolean;

  /**
   * `isUp`: the caller's channel was up when it came to us. `isAdoptedTalk`: a previous process
   * answered and transferred the call.
   */
  constructor(info: CallInfo, isUp: boolean, isAdoptedTalk: boolean, dial: Dial | undefined) {
    this.dial = dial;
    this.#isGiven = isUp;
    const isJustGiven = isUp && info.answeredAtMs === undefined && !isAdoptedTalk;
    this.proof = new AnswerProof(isJustGiven && info.direction === 'outbound');
  }

  /** Whether the caller's channel is up. */
  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** The outbound dial, until the callee answers. */
  get pendingDial(): Dial | undefined {
    return this.#isGiven ? undefined : this.dial;
  }

  /** The channel is up now. */
  given(): void {
    this.#isGiven = true;
  }

  /** At the call's end: an answer without its proof counts as none. */
  async settle(): Promise<void> {
    this.#isGiven &&= await this.proof.isProven();
  }
}
