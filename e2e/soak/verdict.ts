/** Whether a call ended for a reason of its own, and is told of exactly once. Pure. */
import { type ActKind, type CallKind, IN_TRANSFER } from './kinds.ts';

/** One call, as its telephone and whoever placed it saw it. Times in ms, on one clock. */
export interface CallFacts {
  readonly id: string;
  readonly kind: CallKind;
  readonly beganMs: number;
  /** An order that was refused, or that got no answer: there may be no call. */
  readonly isOrderFailed: boolean;
  readonly answeredMs?: number | undefined;
  readonly endedMs: number;
  /** Who hung up; `refused` by a final SIP status. */
  readonly endedBy: 'us' | 'them' | 'refused';
  readonly status?: number | undefined;
  readonly longestSilenceMs?: number | undefined;
}

/** An act that was carried out, until everything worked again. */
export interface ActWindow {
  readonly kind: ActKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** Id of the call that it concerned. */
  readonly target?: string | undefined;
}

/** A call's record, as far as it says how the call ended. */
export interface EndRecord {
  readonly callId: string;
  readonly state: string;
  readonly endReason?: string | undefined;
  readonly endDetail?: string | undefined;
}

/** What is wrong with one call. `isCut`: it ended, and nothing explains why. */
export interface Breach {
  readonly id: string;
  readonly what: string;
  readonly isCut: boolean;
}

/** So long after an act its effects may still show: a breaker, a time limit, a comparison. */
const AFTERMATH_MS = 8_000;
/** After the answer of a call that ARI has placed, the bridge still makes its media and its bot. */
const SET_UP_MS = 3_000;
const TRANSFERS: ReadonlySet<string | undefined> = new Set(['leg', 'refer', 'dialplan']);

/** The acts that a call met. */
export function metBy({ id, beganMs, endedMs }: CallFacts, acts: readonly ActWindow[]): ActWindow[] {
  return acts.filter(
    ({ fromMs, toMs, target }) =>
      fromMs <= endedMs && toMs + AFTERMATH_MS >= beganMs && (target === undefined || target === id),
  );
}

/** The end reasons that a call may have, and whether it may have been turned away. */
export function permitted(facts: CallFacts, acts: readonly ActWindow[]) {
  const { kind, answeredMs = facts.endedMs, endedMs } = facts;
  const reasons = new Set(kind.ends);
  let mayBeTurnedAway = facts.isOrderFailed;
  for (const { kind: act, fromMs, toMs } of metBy(facts, acts)) {
    const isUnanswered = fromMs <= answeredMs + (kind.by === 'ari' ? SET_UP_MS : 0);
    const isAnswered = answeredMs < endedMs && toMs + AFTERMATH_MS >= answeredMs;
    const isEnding = toMs + AFTERMATH_MS >= endedMs;
    if (isUnanswered) for (const reason of act.unanswered) reasons.add(reason);
    if (isAnswered) for (const reason of act.answered) reasons.add(reason);
    if (isEnding) for (const reason of act.ending ?? []) reasons.add(reason);
    if (isAnswered && TRANSFERS.has(kind.does)) for (const reason of IN_TRANSFER) reasons.add(reason);
    if (isUnanswered && act.turnsAway) mayBeTurnedAway = true;
  }
  return { reasons, mayBeTurnedAway };
}

/** `deliveries`: different callbacks that came for the call. */
export function breachesOf(
  facts: CallFacts,
  acts: readonly ActWindow[],
  records: readonly EndRecord[],
  deliveries: number,
): Breach[] {
  const { id, kind, endedBy, status } = facts;
  const { reasons, mayBeTurnedAway } = permitted(facts, acts);
  const breaches: Breach[] = [];
  const breach = (what: string, isCut = false) =>
    void breaches.push({ id, what: `${kind.name}: ${what}`, isCut });
  const [record] = records;
  if (records.length > 1) breach(`${records.length} records`);
  if (record === undefined && !mayBeTurnedAway)
    breach(endedBy === 'refused' ? `turned away with ${status}` : 'no record', endedBy === 'them');
  if (record !== undefined && record.state !== 'closed') breach(`its record has no end: ${record.state}`);
  if (record?.state === 'closed') {
    const { endReason = '', endDetail = '' } = record;
    if (!reasons.has(endReason)) breach(`ended as ${endReason} ${endDetail}`.trim(), true);
    else if (endReason === 'caller-hangup' && endedBy !== 'us' && !TRANSFERS.has(kind.does))
      breach('hung up, and not by its telephone', true);
  }
  if (facts.isOrderFailed && metBy(facts, acts).length === 0) breach(`the order was refused with ${status}`);
  const hasCallback = kind.by === 'api' || kind.by === 'ari';
  if (hasCallback && record !== undefined && deliveries !== 1) breach(`${deliveries} final callbacks`);
  if (!hasCallback && deliveries !== 0) breach(`${deliveries} callbacks that nobody asked for`);
  return breaches;
}
