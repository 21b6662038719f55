import type { AriChannel } from '../ari/model.ts';
import type { AdoptedTalk } from '../call/adopted-talk.ts';
import type { CallIds } from '../call/call-ids.ts';
import { CALL_VARIABLES, type CallInfo } from '../call/info.ts';
import { type CallSettings, callInfo, callSettings } from '../call/settings.ts';
import { CAUSE } from '../q850/causes.ts';
import type { Admission } from './admission.ts';
import { type AdoptableCalls, asAdopted } from './adoption.ts';
import type { Originated } from './originated.ts';
import type { OthersDials } from './others-dials.ts';
import type { PendingReleases } from './pending-releases.ts';
import type { SwitchboardContext } from './switchboard-context.ts';

/** What arrivals work with: lists of the switchboard. */
export interface ArrivalsContext
  extends Pick<SwitchboardContext, 'config' | 'ari' | 'reports' | 'background'> {
  readonly ids: CallIds;
  readonly others: OthersDials;
  readonly adoptable: AdoptableCalls;
  readonly pendingReleases: PendingReleases;
  readonly admission: Pick<Admission, 'refusal' | 'adoptionRefusal'>;
  /** Begins the call of a channel. */
  readonly begin: (
    info: CallInfo,
    isUp: boolean,
    settings: CallSettings,
    talk: AdoptedTalk | undefined,
  ) => void;
  /** Ends the call of a channel, if it has one. */
  readonly failed: (channelId: string, detail: string) => void;
}

/**
 * Channels that enter our Stasis app. Reads their variables; begins a call or returns the channel.
 */
export class Arrivals {
  readonly #context: ArrivalsContext;
  /** Channels whose variables are being read. Calling the value takes the channel without them. */
  readonly #asking = new Map<string, () => void>();

  constructor(context: ArrivalsContext) {
    this.#context = context;
  }

  /** Channels whose variables are being read. */
  get ids(): string[] {
    return [...this.#asking.keys()];
  }

  has(channelId: string): boolean {
    return this.#asking.has(channelId);
  }

  /** The channel left our app or was hung up: takes it without waiting for its variables. */
  left(channelId: string): void {
    this.#asking.get(channelId)?.();
  }

  /** Takes all waiting channels now, without their variables. */
  takeAll(): void {
    for (const take of this.#asking.values()) take();
  }

  /** A channel entered our app and needs a call. Begins the call, or returns the channel. */
  offer(channel: AriChannel, args: readonly string[]): void {
    const dial = this.#context.others.all.get(channel.id);
    const { admission, adoptable } = this.#context;
    const isKnown = adoptable.talks.has(channel.id) || adoptable.has(channel.id);
    const refusal = isKnown ? admission.adoptionRefusal : admission.refusal;
    if (refusal !== undefined) {
      // A refused dial stays on the list: its end is reported to the client that placed it.
      const { config, reports } = this.#context;
      const mayHave = (id: string) => this.#context.ids.claim(channel.id, id);
      const variables = channel.channelvars ?? {};
      const caller = dial ? undefined : callInfo(config, channel, args, variables, undefined, mayHave);
      reports.refused(channel.id, refusal, caller);
      return this.#refuse(channel.id, refusal, dial !== undefined);
    }
    this.#context.others.answered(channel.id);
    const variables = channel.channelvars;
    if (variables !== undefined) return this.#take(channel, args, variables, dial);
    // ari.conf has no `channelvars`: the variables are requested one by one. If the caller hangs up
    // meanwhile, the call begins, and ends, without them.
    const take = (answers: Readonly<Record<string, string>> = {}) => {
      if (this.#asking.delete(channel.id)) this.#take(channel, args, answers, dial);
    };
    this.#asking.set(channel.id, take);
    const asked = this.#context.ari.variables(channel.id, CALL_VARIABLES).then(take, ({ message }: Error) => {
      if (!this.#asking.has(channel.id)) return;
      take();
      this.#context.failed(channel.id, `the variables could not be read: ${message}`);
    });
    this.#context.background.run(asked, 'read the variables of a call');
  }

  /**
   * Returns a refused inbound channel to the dialplan. Hangs up an outbound callee, which came from
   * no dialplan.
   */
  #refuse(channelId: string, why: string, isOutbound: boolean): void {
    this.#context.adoptable.takeTalk(channelId);
    const release = { status: isOutbound ? undefined : why, cause: CAUSE.switchingCongestion, isDone: false };
    this.#context.background.run(
      this.#context.pendingReleases.release(channelId, release),
      'give a call back',
    );
  }

  #take(
    channel: AriChannel,
    appArgs: readonly string[],
    variables: Readonly<Record<string, string>>,
    dial: Originated | undefined,
  ): void {
    if (!dial && this.#context.ids.isMerged(channel.id, variables))
      return this.#refuse(channel.id, 'merged', false);
    const mayHave = (id: string) => this.#context.ids.claim(channel.id, id);
    const info = callInfo(this.#context.config, channel, appArgs, variables, dial, mayHave);
    const adoptable = asAdopted(info, dial?.before ?? this.#context.adoptable.take(channel.id));
    const settings = callSettings(this.#context.config, adoptable);
    this.#context.begin(
      adoptable,
      channel.state === 'Up',
      settings,
      this.#context.adoptable.takeTalk(channel.id),
    );
  }
}
