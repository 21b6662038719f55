import { CAUSE } from '../q850/causes.ts';

/** Who ended a call. */
export type EndedBy = 'caller' | 'bot' | 'bridge' | 'operator';

/** Why a call ended: a value, from which hang-up cause, log level, metric and record follow. The first reason wins. */
export type EndReason =
  | { readonly kind: 'caller-hangup' }
  /** A callee of ours: busy, away, unknown … see the outcome. */
  | { readonly kind: 'not-answered' }
  | { readonly kind: 'bot-hangup' }
  | { readonly kind: 'bot-hangup-immediate' }
  /** `detail`: by what, where it was not by closing its socket. */
  | { readonly kind: 'bot-closed'; readonly detail?: string }
  | { readonly kind: 'bot-unavailable'; readonly detail: string }
  | { readonly kind: 'bot-lost'; readonly detail: string }
  | { readonly kind: 'bot-misbehaved'; readonly detail: string }
  | { readonly kind: 'media-timeout' }
  | { readonly kind: 'media-failed'; readonly detail: string }
  | { readonly kind: 'setup-failed'; readonly detail: string }
  | { readonly kind: 'max-duration' }
  | { readonly kind: 'silence' }
  /** Handed over to somebody else, as this one asked. */
  | { readonly kind: 'transferred'; readonly by: 'bot' | 'operator' }
  | { readonly kind: 'api-hangup' }
  /** Asterisk has started anew: it crashed, or was stopped. */
  | { readonly kind: 'asterisk-lost' }
  | { readonly kind: 'shutdown' }
  /** Another process has our Stasis app, and goes on with the call: nothing of it is touched in Asterisk. */
  | { readonly kind: 'taken-over' }
  /** Of the record only: no call came of it, and the caller went on in the dialplan. */
  | { readonly kind: 'refused'; readonly detail: 'at-capacity' | 'shutdown' }
  /** Of the record only: the process died in mid-call, as its next start found. */
  | { readonly kind: 'bridge-died' };

/** What follows from a reason. */
export interface EndTreatment {
  readonly by: EndedBy;
  /** Log level of the line that says the call ended. */
  readonly level: 'info' | 'warn' | 'error';
  /** Q.850 cause for the caller's hang-up, where we hang up. */
  readonly cause: number;
  /** What is still queued is played before the caller is hung up. */
  readonly drain: boolean;
  /**
   * Value of `PIPECAT_STATUS` for the dialplan, where the caller is given back to it (its fallback), instead of hung up.
   * An outbound callee has no dialplan to go back to and is hung up.
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
  shutdown: { by: 'operator', level: 'info', cause: CAUSE.normalClearing, drain: false },
  'taken-over': { by: 'bridge', level: 'warn', cause: CAUSE.normalClearing, drain: false },
  refused: { by: 'bridge', level: 'warn', cause: CAUSE.switchingCongestion, drain: false },
  'bridge-died': { by: 'bridge', level: 'warn', cause: CAUSE.temporaryFailure, drain: false },
};

/** The kinds of all reasons. */
export const END_REASONS = Object.keys(TREATMENTS) as EndReason['kind'][];

/** What to do with the caller and the log for a reason. */
export function treatmentOf(reason: EndReason): EndTreatment {
  const treatment = TREATMENTS[reason.kind];
  return reason.kind === 'transferred' ? { ...treatment, by: reason.by } : treatment;
}

/** The reason that a bot gives which is gone: it closed cleanly, fell silent, did so before the caller had anything of it, or was lost. */
export function reasonOfBotGone(how: 'closed' | 'silent' | 'absent' | 'lost', detail: string): EndReason {
  if (how === 'closed') return { kind: 'bot-closed' };
  if (how === 'silent') return { kind: 'bot-closed', detail };
  if (how === 'lost') return { kind: 'bot-lost', detail };
  return { kind: 'bot-unavailable', detail: `the bot was not heard: ${detail}` };
}

/** The reason that a step of the set-up gives when it fails, by the code of its error. */
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
