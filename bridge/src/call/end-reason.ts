import type { BotGone } from '../media/session.ts';
import { CAUSE } from '../q850/causes.ts';

/** Who may ask for a transfer. */
export const REQUESTERS = ['bot', 'operator'] as const;
/** One of them. */
export type Requester = (typeof REQUESTERS)[number];

/** Who may end a call. */
export const ENDERS = ['caller', 'bot', 'bridge', 'operator'] as const;
/** One of them: who ended a call. */
export type EndedBy = (typeof ENDERS)[number];

/** Why no new call is taken. */
export type RefusalReason = 'shutdown' | 'overload' | 'at-capacity';

/**
 * Why a call ended. The hang-up cause, log level, metric and record follow from it. The first
 * reason wins.
 */
export type EndReason =
  | { readonly kind: 'caller-hangup' }
  /** A callee of ours did not answer: the outcome says why. */
  | { readonly kind: 'not-answered' }
  | { readonly kind: 'bot-hangup' }
  | { readonly kind: 'bot-hangup-immediate' }
  /** `detail`: how the bot left, if not by closing its socket. */
  | { readonly kind: 'bot-closed'; readonly detail?: string }
  | { readonly kind: 'bot-unavailable'; readonly detail: string }
  | { readonly kind: 'bot-lost'; readonly detail: string }
  | { readonly kind: 'bot-misbehaved'; readonly detail: string }
  | { readonly kind: 'media-timeout' }
  | { readonly kind: 'media-failed'; readonly detail: string }
  | { readonly kind: 'setup-failed'; readonly detail: string }
  | { readonly kind: 'max-duration' }
  | { readonly kind: 'silence' }
  /** Transferred at the request of `by`. */
  | { readonly kind: 'transferred'; readonly by: Requester }
  | { readonly kind: 'api-hangup' }
  /** Asterisk has restarted, after a crash or a stop. */
  | { readonly kind: 'asterisk-lost' }
  | { readonly kind: 'shutdown' }
  /** Another process took our Stasis app and continues the call: nothing in Asterisk is changed. */
  | { readonly kind: 'taken-over' }
  /** In records only: the call was refused, and the caller went on in the dialplan. */
  | { readonly kind: 'refused'; readonly detail: RefusalReason }
  /** In records only: the process died during the call, as its next start found. */
  | { readonly kind: 'bridge-died' };

/** What follows from a reason. */
export interface EndTreatment {
  readonly by: EndedBy;
  /** Log level of the `call ended` line. */
  readonly level: 'info' | 'warn' | 'error';
  /** Q.850 cause if we hang up. */
  readonly cause: number;
  /** Whether queued audio is played before the caller is hung up. */
  readonly drain: boolean;
  /**
   * Value of `PIPECAT_STATUS`. The caller is returned to the dialplan with it instead of hung up.
   * An outbound callee has no dialplan to return to, and is hung up.
   */
  readonly fallback?: string;
}

const TREATMENTS: Readonly<Record<EndReason['kind'], EndTreatment>> = {
  'caller-hangup': { by: 'caller', level: 'info', cause: CAUSE.normalClearing, drain: false },
  'not-answered': { by: 'caller', level: 'info', cause: CAUSE.noAnswer, drain: false },
  'bot-hangup': { by: 'bot', level: 'info', cause: CAUSE.normalClearing, drain: true },
  'bot-hangup-immediate': { by: 'bot', level: 'info', cause: CAUSE.normalClearing, drain: false },
  'bot-closed': { by: 'bot', level: 'info', cause: CAUSE.normalClearing, drain: true },
  'bot-unavailable': {
    by: 'bridge',
    level: 'warn',
    cause: CAUSE.temporaryFailure,
    drain: false,
    fallback: 'bot-unavailable',
  },
  'bot-lost': {
    by: 'bridge',
    level: 'warn',
    cause: CAUSE.temporaryFailure,
    drain: true,
    fallback: 'bot-lost',
  },
  'bot-misbehaved': {
    by: 'bridge',
    level: 'warn',
    cause: CAUSE.temporaryFailure,
    drain: true,
    fallback: 'bot-lost',
  },
  'media-timeout': { by: 'bridge', level: 'warn', cause: CAUSE.normalClearing, drain: false },
  'media-failed': {
    by: 'bridge',
    level: 'error',
    cause: CAUSE.temporaryFailure,
    drain: false,
    fallback: 'media-failed',
  },
  'setup-failed': {
    by: 'bridge',
    level: 'error',
    cause: CAUSE.temporaryFailure,
    drain: false,
    fallback: 'setup-failed',
  },
  'max-duration': { by: 'bridge', level: 'info', cause: CAUSE.normalClearing, drain: false },
  silence: { by: 'bridge', level: 'info', cause: CAUSE.normalClearing, drain: false },
  transferred: { by: 'bot', level: 'info', cause: CAUSE.normalClearing, drain: false },
  'api-hangup': { by: 'operator', level: 'info', cause: CAUSE.normalClearing, drain: false },
  'asterisk-lost': { by: 'bridge', level: 'warn', cause: CAUSE.temporaryFailure, drain: false },
  shutdown: {
    by: 'operator',
    level: 'info',
    cause: CAUSE.normalClearing,
    drain: true,
    fallback: 'shutdown',
  },
  'taken-over': { by: 'bridge', level: 'warn', cause: CAUSE.normalClearing, drain: false },
  refused: { by: 'bridge', level: 'warn', cause: CAUSE.switchingCongestion, drain: false },
  'bridge-died': { by: 'bridge', level: 'warn', cause: CAUSE.temporaryFailure, drain: false },
};

/** The kinds of all reasons. */
export const END_REASONS = Object.keys(TREATMENTS) as EndReason['kind'][];

/** How to treat the caller and the log for a reason. */
export function treatmentOf(reason: EndReason): EndTreatment {
  const treatment = TREATMENTS[reason.kind];
  return reason.kind === 'transferred' ? { ...treatment, by: reason.by } : treatment;
}

/**
 * The reason if the bot has left: it closed cleanly, fell silent, did so before the caller heard
 * it, or was lost.
 */
export function reasonOfBotGone(how: BotGone, detail: string): EndReason {
  if (how === 'closed') return { kind: 'bot-closed' };
  if (how === 'silent') return { kind: 'bot-closed', detail };
  if (how === 'lost') return { kind: 'bot-lost', detail };
  return { kind: 'bot-unavailable', detail: `the bot was not heard: ${detail}` };
}

/** The reason if a step of the set-up fails, by the error's code. */
export function reasonOfFailure({ code, message: detail }: Error & { readonly code?: unknown }): EndReason {
  switch (code) {
    case 'ring-timeout':
    case 'unusable-answer':
      return { kind: 'not-answered' };
    case 'bot-unreachable':
      return { kind: 'bot-unavailable', detail };
    case 'no-port':
    case 'media-socket':
    case 'worker-died':
    case 'late':
      return { kind: 'media-failed', detail };
    default:
      return { kind: 'setup-failed', detail };
  }
}
