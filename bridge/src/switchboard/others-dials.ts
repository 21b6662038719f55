import type { AriChannel } from '../ari/model.ts';
import type { CallIds } from '../call/call-ids.ts';
import { dialOutcome, type Outcome } from '../call/outcome.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallReports } from '../reports/reports.ts';
import type { AdoptableCalls } from './adoption.ts';
import { describeDial, type Originated, originatedRecord } from './originated.ts';
import type { PendingReleases } from './pending-releases.ts';

/** Dials that may be under way at once; of more, the oldest is forgotten. */
const DIALS_MAX = 10_000;

/** What Asterisk says of a 3xx, in Q.850 (its own value) and in SIP. Which 3xx it was is not known where Asterisk does not say it. */
const REDIRECTED = { cause: CAUSE.redirectedToNewDestination, sipStatus: 302 };

/** What the dials of others are kept with. */
export interface OthersDialsContext {
  readonly ids: CallIds;
  readonly adoptable: AdoptableCalls;
  readonly pendingReleases: PendingReleases;
  readonly reports: CallReports;
}

/** The calls that others place through ARI, by channel, until they are answered or have failed. Nobody else writes their fields. */
export class OthersDials {
  readonly #context: OthersDialsContext;
  readonly #dials = new Map<string, Originated>();

  constructor(context: OthersDialsContext) {
    this.#context = context;
  }

  get all(): ReadonlyMap<string, Originated> {
    return this.#dials;
  }

  /** The dial of a channel, which begins with the first that is heard of it. */
  began(channel: AriChannel): Originated {
    const known = this.#dials.get(channel.id);
    if (known !== undefined) {
      known.channel = channel;
      return known;
    }
    const { ids, adoptable, reports } = this.#context;
    const before = adoptable.take(channel.id);
    const sinceMs = before === undefined ? Date.now() : Date.parse(before.times.offered);
    const facts = { channel, dialled: before?.to ?? '', sinceMs, before, ids };
    const dial: Originated = { ...facts, ringing: false, isForwarded: false };
    this.#dials.set(channel.id, dial);
    const [oldest] = this.#dials.keys();
    if (this.#dials.size > DIALS_MAX && oldest !== undefined) this.#dials.delete(oldest);
    reports.dialChanged(originatedRecord(dial), 'dialling');
    return dial;
  }

  /** A channel that was created, to be dialled later, waits in our app for the answer. */
  entered(channel: AriChannel, args: readonly string[]): void {
    this.began(channel).args = args;
  }

  /** A channel is dialled: `dialstring` is what follows `PJSIP/` in its endpoint. */
  dialled(channel: AriChannel, dialstring: string): void {
    const dial = this.began(channel);
    dial.dialled ||= dialstring.split('@')[0] ?? '';
  }

  /** The callee's side has forwarded it, which is refused: its end follows. */
  forwarded(channel: AriChannel): void {
    this.began(channel).isForwarded = true;
  }

  /** The callee's phone rings. */
  rings(channelId: string): void {
    const dial = this.#dials.get(channelId);
    if (dial === undefined || dial.ringing) return;
    dial.ringing = true;
    this.#context.reports.dialChanged(originatedRecord(dial), 'ringing');
  }

  /** The callee has answered: it is a dial no more. */
  answered(channelId: string): Originated | undefined {
    const dial = this.#dials.get(channelId);
    this.#dials.delete(channelId);
    return dial;
  }

  /** A channel has ended without an answer. `cause` is Q.850, and 0 where there is none. */
  ended(channel: AriChannel, cause: number, sipStatus?: number): void {
    const dial = this.#end(channel.id);
    if (dial === undefined) return;
    dial.channel = channel;
    this.#failed(dial, dialOutcome(cause, sipStatus), cause, sipStatus);
  }

  /** A channel is gone, and how was not told. */
  lost(channelId: string, isForwarded: boolean): void {
    const dial = this.#end(channelId);
    if (dial === undefined) return;
    dial.isForwarded ||= isForwarded;
    this.#failed(dial, 'failed', 0);
  }

  /** Asterisk forwards a call at times before it has noted the 3xx on its channel: then its end has neither cause nor status. */
  #failed(dial: Originated, outcome: Outcome, cause: number, sipStatus?: number): void {
    const { reports } = this.#context;
    if (!dial.isForwarded || sipStatus !== undefined)
      return reports.dialFailed(describeDial(dial), outcome, cause, sipStatus);
    reports.dialFailed(describeDial(dial), 'failed', cause || REDIRECTED.cause, REDIRECTED.sipStatus);
  }

  /** What is told late of it is no news of another dial. */
  #end(channelId: string): Originated | undefined {
    const dial = this.answered(channelId);
    if (dial !== undefined)
      this.#context.pendingReleases.keep(channelId, { cause: CAUSE.normalClearing, isDone: true });
    return dial;
  }

  /** What the process before knew of a dial is found only now. */
  recall(channelId: string): void {
    const dial = this.#dials.get(channelId);
    if (dial !== undefined) dial.before = this.#context.adoptable.take(channelId) ?? dial.before;
  }

  /** Another process has our app: it is told of all of them. */
  letGo(): void {
    const dials = [...this.#dials.values()];
    this.#dials.clear();
    for (const dial of dials) this.#context.reports.dialTakenOver(describeDial(dial));
  }
}
