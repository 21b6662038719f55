import type { AriChannel } from '../ari/model.ts';
import { providerName } from '../call/info.ts';
import type { Logger } from '../log.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallReports } from '../reports/reports.ts';
import type { Background } from './background.ts';
import type { PendingReleases } from './pending-releases.ts';

/** Refused legs that are remembered. Beyond it the oldest one is forgotten. */
const REFUSED_MAX = 10_000;

/** What refusing forwards works with. */
export interface ForwardsContext {
  readonly log: Logger;
  readonly background: Background;
  readonly pendingReleases: PendingReleases;
  readonly reports: CallReports;
}

/**
 * Legs that Asterisk dials by itself when a callee's side answers an originated call with 3xx (RFC
 * 3261 section 8.1.3.4). The callee's side chooses the number, and with `PJSIP%2Fnumber%40provider`
 * even the provider that charges for it. Asterisk has no setting against it. Such a leg is hung up
 * as soon as it is known, and never becomes a call.
 */
export class Forwards {
  readonly #context: ForwardsContext;
  /** Channel ids of refused legs. */
  readonly #refused = new Set<string>();

  constructor(context: ForwardsContext) {
    this.#context = context;
  }

  /** Whether a channel is a refused leg. */
  has(channelId: string): boolean {
    return this.#refused.has(channelId);
  }

  /**
   * A dial was forwarded to `leg`, or Asterisk could not create the leg (undefined). `from` is the
   * forwarded channel, if known. Refuses each leg once.
   */
  refuse(leg: AriChannel | undefined, from?: AriChannel): void {
    if (leg !== undefined && this.#refused.has(leg.id)) return;
    const provider = from && providerName(from);
    const to = leg && { channelId: leg.id, provider: providerName(leg) };
    this.#context.log.warn(
      { channelId: from?.id, provider, to },
      'a callee’s side forwards a call: this is refused',
    );
    this.#context.reports.forwardRefused();
    if (leg === undefined) return;
    this.#refused.add(leg.id);
    const [oldest] = this.#refused;
    if (this.#refused.size > REFUSED_MAX && oldest !== undefined) this.#refused.delete(oldest);
    this.hangUp(leg.id);
  }

  /** Hangs up a refused leg. Called again if the leg was answered before that. */
  hangUp(legId: string): void {
    const { background, pendingReleases } = this.#context;
    background.run(
      pendingReleases.release(legId, { cause: CAUSE.callRejected, isDone: false }),
      'hang up a forwarded leg',
    );
  }
}
