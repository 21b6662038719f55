import type { AriChannel } from '../ari/model.ts';
import type { CallIds } from '../call/call-ids.ts';
import { dialOutcome, type Outcome } from '../call/outcome.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallReports } from '../reports/reports.ts';
import type { AdoptableCalls } from './adoption.ts';
import { describeDial, type Originated, originatedRecord } from './originated.ts';
import type { PendingReleases } from './pending-releases.ts';

/** Live dials that are kept. Beyond it the oldest one is forgotten. */
const DIALS_MAX = 10_000;

/**
 * Q.850 cause (Asterisk's own value) and SIP status of a 3xx. Used if Asterisk does not report the
 * status: the real one may be another 3xx.
 */
const REDIRECTED = { cause: CAUSE.redirectedToNewDestination, sipStatus: 302 };

/** What external dials work with. */
export interface OthersDialsContext {
  readonly ids: CallIds;
  readonly adoptable: AdoptableCalls;
  readonly pendingReleases: PendingReleases;
  readonly reports: CallReports;
}

/** What only {@link OthersDials} writes. */
type WritableDial = { -readonly [Field in keyof Originated]: Originated[Field] };

/**
 * Calls that external clients place through ARI, by channel, until they are answered or fail.
 */
export class OthersDials {
  readonly #context: OthersDialsContext;
  readonly #dials = new Map<string, WritableDial>();

  constructor(context: OthersDialsContext) {
    this.#context = context;
  }

  get all(): ReadonlyMap<string, Originated> {
    return this.#dials;
  }

  /** The dial of a channel. Adds it at the channel's first event. */
  began(channel: AriChannel): Originated {
    return this.#began(channel);
  }

  #began(channel: AriChannel): WritableDial {
    const known = this.#dials.get(channel.id);
    if (known !== undefined) {
      known.channel = channel;
      return known;
    }
    const { ids, adoptable, reports } = this.#context;
    const before = adoptable.take(channel.id);
    // Not the time of the event: after a handover both processes then mean one record.
    const createdMs = Date.parse(before?.times.offered ?? channel.creationtime ?? '');
    const sinceMs = Number.isNaN(createdMs) ? Date.now() : createdMs;
    const dial: WritableDial = {
      channel,
      dialled: before?.to ?? '',
      sinceMs,
      before,
      ids,
      ringing: false,
      isForwarded: false,
    };
    this.#dials.set(channel.id, dial);
    const [oldest] = this.#dials.keys();
    if (this.#dials.size > DIALS_MAX && oldest !== undefined) this.#dials.delete(oldest);
    reports.dialChanged(originatedRecord(dial), 'dialling');
    return dial;
  }

  /** A channel that was created to be dialled later waits in our app for the answer. */
  entered(channel: AriChannel, args: readonly string[]): void {
    this.#began(channel).args = args;
  }

  /** A channel is dialled. `dialstring` is the part after `PJSIP/` of its endpoint. */
  dialled(channel: AriChannel, dialstring: string): void {
    const dial = this.#began(channel);
    dial.dialled ||= dialstring.split('@')[0] ?? '';
  }

  /** The callee's side has forwarded the dial. That is refused, so the dial will end. */
  forwarded(channel: AriChannel): void {
    this.#began(channel).isForwarded = true;
  }

  /** The callee's phone rings. */
  rings(channelId: string): void {
    const dial = this.#dials.get(channelId);
    if (dial === undefined || dial.ringing) return;
    dial.ringing = true;
    this.#context.reports.dialChanged(originatedRecord(dial), 'ringing');
  }

  /** The callee has answered: removes and returns the dial. */
  answered(channelId: string): Originated | undefined {
    const dial = this.#dials.get(channelId);
    this.#dials.delete(channelId);
    return dial;
  }

  /** A channel has ended without an answer. `cause` is Q.850; 0 if there is none. */
  ended(channel: AriChannel, cause: number, sipStatus?: number): void {
    const dial = this.#end(channel.id);
    if (dial === undefined) return;
    dial.channel = channel;
    this.#failed(dial, dialOutcome(cause, sipStatus), cause, sipStatus);
  }

  /** A channel is gone and its end was not reported. */
  lost(channelId: string, isForwarded: boolean): void {
    const dial = this.#end(channelId);
    if (dial === undefined) return;
    dial.isForwarded ||= isForwarded;
    this.#failed(dial, 'failed', 0);
  }

  /**
   * Asterisk may forward a call before it stores the 3xx on the channel. The channel's end then has
   * neither cause nor status.
   */
  #failed(dial: Originated, outcome: Outcome, cause: number, sipStatus?: number): void {
    const { reports } = this.#context;
    if (!dial.isForwarded || sipStatus !== undefined)
      return reports.dialFailed(describeDial(dial), outcome, cause, sipStatus);
    reports.dialFailed(describeDial(dial), 'failed', cause || REDIRECTED.cause, REDIRECTED.sipStatus);
  }

  /**
   * Removes a dial. Keeps its channel as released, so that late events do not start another dial.
   */
  #end(channelId: string): WritableDial | undefined {
    const dial = this.#dials.get(channelId);
    this.#dials.delete(channelId);
    if (dial !== undefined)
      this.#context.pendingReleases.remember(channelId, { cause: CAUSE.normalClearing, isDone: true });
    return dial;
  }

  /** The dial's record from the previous process has been read only now. */
  recall(channelId: string): void {
    const dial = this.#dials.get(channelId);
    if (dial !== undefined) dial.before = this.#context.adoptable.take(channelId) ?? dial.before;
  }

  /** Another process took our app, and reports all dials. */
  letGo(): void {
    const dials = [...this.#dials.values()];
    this.#dials.clear();
    for (const dial of dials) this.#context.reports.dialTakenOver(describeDial(dial));
  }
}
