import type { Call } from '../call/call.ts';
import type { RefusalReason } from '../call/end-reason.ts';
import type { CallInfo } from '../call/info.ts';
import { callOutcome, type Outcome } from '../call/outcome.ts';
import type { CallChange, CallResult } from '../call/result.ts';
import type { Logger } from '../log.ts';
import { CAUSE } from '../q850/causes.ts';
import {
  diedRecord,
  endedRecord,
  failedDialRecord,
  liveRecord,
  type RecordContext,
  refusedRecord,
  type UnansweredDial,
} from '../records/build.ts';
import type { CallRecord } from '../records/record.ts';
import { callbackStatus, type StatusCallbacks } from './callbacks.ts';
import type { Metrics } from './metrics.ts';

/** The name of an event that is reported with the call's record. */
export type CallEventName = 'dialling' | 'ringing' | 'started' | 'ended' | Exclude<CallChange, 'closing'>;

/** Where calls are reported. */
export interface ReportsContext {
  readonly metrics: Metrics;
  readonly callbacks: StatusCallbacks;
  readonly log: Logger;
  /** Called at every change of a call, with its record. */
  readonly onChange: (event: CallEventName, record: CallRecord) => void;
  /**
   * A call has ended after this process left its calls to others. Resolves to whether its end is
   * still ours to report. Undefined: this process has not left.
   */
  readonly onEndedLate?: (record: CallRecord) => Promise<boolean> | undefined;
}

/** Reports calls to the log, the metrics, the status callbacks and the event streams. */
export class CallReports {
  readonly #context: ReportsContext;

  constructor(context: ReportsContext) {
    this.#context = context;
  }

  /** A call was taken, or an outbound dial of ours began. */
  started(call: Call): void {
    const { info } = call;
    const { log } = this.#context;
    const remarks = info.remarks.length > 0 ? info.remarks : undefined;
    log.info({ ...idsOf(call), remarks }, 'call started');
    log.debug({ ...idsOf(call), from: info.from, to: info.to, customVars: info.customVars }, 'call details');
    this.changed(call, call.pendingDial === undefined ? 'started' : 'dialling');
  }

  /** `closing` is not reported. */
  changed(call: Call, event: CallEventName | 'closing'): void {
    if (event === 'closing') return;
    if (event === 'transfer-failed' || event === 'transfer-completed') this.#transferEnded(call);
    this.#context.onChange(event, recordOf(call));
  }

  /** Reported here because a bot's dialect may have no message for a transfer's result. */
  #transferEnded(call: Call): void {
    const { outcome } = call.transfers;
    if (outcome === undefined) return;
    const { status, mode, reason } = outcome;
    const { log, metrics } = this.#context;
    metrics.transferEnded(status, reason);
    log[status === 'failed' ? 'warn' : 'info']({ ...idsOf(call), mode, reason }, `transfer ${status}`);
  }

  /** A call has ended, and its resources are released. */
  ended(call: Call, result: CallResult): void {
    const { info } = call;
    const { log, metrics } = this.#context;
    metrics.callEnded(result, info.direction);
    const { treatment, reason, cause, sipStatus, answered, stepsMs, figures } = result;
    const durationMs = Math.round(performance.now() - call.steps.offeredMs);
    const outcome = info.direction === 'outbound' ? callOutcome(result) : undefined;
    const how = { reason, by: treatment.by, cause, sipStatus, outcome, answered, durationMs };
    log[treatment.level]({ ...idsOf(call), ...how, stepsMs, figures }, 'call ended');
    if (outcome !== undefined && outcome !== 'answered') metrics.dialFailed(outcome);
    const record = endedRecord(info, result, durationMs, contextOf(call));
    // Another process continues the call and reports its end.
    if (reason.kind === 'taken-over') return this.#context.onChange('ended', record);
    // For the status callback, a call that never reached its bot is an error, even if it was
    // answered.
    const isError = treatment.fallback !== undefined && reason.kind !== 'shutdown';
    this.#reportEnd(record, () =>
      this.#callBack(info.callbackUrl, info, outcome ?? 'answered', cause, sipStatus, isError),
    );
  }

  /** One process reports an end: this one, or the one that has taken our calls. */
  #reportEnd(record: CallRecord, callBack: () => void): void {
    const isOurs = this.#context.onEndedLate?.(record);
    if (isOurs !== undefined) return void isOurs.then((is) => is && callBack());
    this.#context.onChange('ended', record);
    callBack();
  }

  /** A call was refused. `caller` is undefined if its dial leaves a record anyway. */
  refused(channelId: string, why: RefusalReason, caller: CallInfo | undefined): void {
    const { log, metrics, onChange } = this.#context;
    metrics.callRefused(why);
    log.warn({ channelId, why }, 'call not taken');
    if (caller !== undefined) onChange('ended', refusedRecord(caller, why, Date.now()));
  }

  /** A forward by the callee's side (SIP 3xx) was refused. */
  forwardRefused(): void {
    this.#context.metrics.forwardRefused();
  }

  /** A call of the previous process ended with that process. */
  died(live: CallRecord): void {
    const record = diedRecord(live, Date.now());
    this.#context.onChange('ended', record);
    this.#callBack(live.callbackUrl, live, record.outcome ?? 'answered', record.cause ?? 0, undefined, true);
  }

  /** An external client's dial began, or its callee's phone rings. */
  dialChanged(record: CallRecord, event: 'dialling' | 'ringing'): void {
    this.#context.onChange(event, record);
  }

  /** An external client's dial ended without an answer. No bot was contacted. */
  dialFailed(dial: UnansweredDial, outcome: Outcome, cause: number, sipStatus?: number): void {
    const { callId, channelId, provider, callbackUrl } = dial;
    const { log, metrics } = this.#context;
    metrics.dialFailed(outcome);
    log.info({ callId, channelId, provider, outcome, cause, sipStatus }, 'dial failed');
    const record = failedDialRecord({ ...dial, endedAtMs: Date.now(), outcome, cause, sipStatus });
    this.#reportEnd(record, () => this.#callBack(callbackUrl, dial, outcome, cause, sipStatus, false));
  }

  /** Another process took the Stasis app, and reports this external client's dial. */
  dialTakenOver(dial: UnansweredDial): void {
    const facts = { ...dial, endedAtMs: Date.now(), outcome: 'failed' as const, cause: CAUSE.normalClearing };
    this.#context.onChange('ended', {
      ...failedDialRecord(facts),
      endReason: 'taken-over',
      outcome: undefined,
    });
  }

  #callBack(
    url: string | undefined,
    { callId, channelId }: { readonly callId: string; readonly channelId: string },
    outcome: Outcome,
    cause: number,
    sipStatus: number | undefined,
    isError: boolean,
  ): void {
    if (!url) return;
    this.#context.callbacks.post(url, {
      call_sid: channelId,
      call_id: callId,
      status: isError ? 'error' : callbackStatus(outcome),
      outcome,
      cause: String(cause),
      ...(sipStatus === undefined ? {} : { sip_status: String(sipStatus) }),
    });
  }
}

/** The record of a live call. */
export function recordOf(call: Call): CallRecord {
  const dialState = call.pendingDial?.ringing ? 'ringing' : 'dialling';
  const state = call.pendingDial !== undefined && call.state === 'setup' ? dialState : call.state;
  return liveRecord(call.info, state, call.steps.ms, contextOf(call));
}

function contextOf({ info, steps, recordingLog, transfers, warnings }: Call): RecordContext {
  const { files: recordingFiles, state: recordingState } = recordingLog;
  const { isHeld, latestSummary: transfer = info.adopted?.transfer, by: transferBy } = transfers;
  const { offeredAtMs } = steps;
  return {
    offeredAtMs,
    recordingFiles,
    isRecordingPaused: recordingState === 'off' ? undefined : recordingState === 'paused',
    isHeld,
    transfer,
    transferBy,
    warnings: [...warnings],
  };
}

function idsOf({ info }: Call) {
  const { callId, channelId, sipProvider: provider, direction } = info;
  return { callId, channelId, provider, direction };
}
