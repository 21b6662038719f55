import type { AriChannel } from '../ari/model.ts';
import { providerName } from '../call/info.ts';
import type { Logger } from '../log.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallReports } from '../reports/reports.ts';
import type { Background } from './background.ts';
import type { PendingReleases } from './pending-releases.ts';

/** Legs that are remembered as refused; of more, the oldest is forgotten. */
const REFUSED_MAX = 10_000;

/** What forwards are refused with. */
export interface ForwardsContext {
  readonly log: Logger;
  readonly background: Background;
  readonly pendingReleases: PendingReleases;
  readonly reports: CallReports;
}

/**
 * Legs that Asterisk itself dials when a callee's side answers an originated call with 3xx (RFC 3261 section 8.1.3.4). The callee's
 * side chooses the number, and by `PJSIP%2Fnumber%40provider` even the provider that is to be paid; no setting of Asterisk refuses
 * it. Nobody has ordered such a leg: it is hung up as soon as it is known, and never becomes a call.
 */
export class Forwards {
  readonly #context: ForwardsContext;
  /** By channel. */
  readonly #refused = new Set<string>();

  constructor(context: ForwardsContext) {
    this.#context = context;
  }

  /** Whether a channel is a leg that was refused. */
  has(channelId: string): boolean {
    return this.#refused.has(channelId);
  }

  /**
   * Somebody's dial was forwarded to `leg`; undefined where Asterisk could not make it. `from` is the channel that was forwarded, where
   * that is known. Once a leg.
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

  /** Ends a refused leg; one that was answered before that comes here again. */
  hangUp(legId: string): void {
    const { background, pendingReleases } = this.#context;
    background.run(
      pendingReleases.say(legId, { cause: CAUSE.callRejected, isDone: false }),
      'hang up a forwarded leg',
    );
  }
}
