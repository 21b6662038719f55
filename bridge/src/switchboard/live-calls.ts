import type { Call } from '../call/call.ts';
import { providerName } from '../call/info.ts';
import { CallRates } from '../config/call-limits.ts';
import type { Provider } from '../config/providers.ts';
import { callSid } from '../pipecat/twilio.ts';
import type { CallRecord } from '../records/record.ts';
import { recordOf } from '../reports/reports.ts';
import type { CallsElsewhere } from './calls-elsewhere.ts';
import { describeDial, type Originated, originatedRecord } from './originated.ts';

/** Queries about live calls and dials. Records are built on request: there may be thousands. */
export class LiveCalls {
  /** Rate limits per provider. Second legs count too. */
  readonly rates = new CallRates();
  readonly #calls: ReadonlyMap<string, Call>;
  readonly #dials: ReadonlyMap<string, Originated>;

  readonly #elsewhere: Pick<CallsElsewhere, 'outbound'>;

  /** Both maps are by channel, and read only. `elsewhere`: calls of other processes. */
  constructor(
    calls: ReadonlyMap<string, Call>,
    dials: ReadonlyMap<string, Originated>,
    elsewhere: Pick<CallsElsewhere, 'outbound'>,
  ) {
    this.#calls = calls;
    this.#dials = dials;
    this.#elsewhere = elsewhere;
  }

  /** Records of all live calls and dials. */
  get records(): CallRecord[] {
    return [
      ...[...this.#calls.values()].map((call) => recordOf(call)),
      ...[...this.#dials.values()].map((dial) => originatedRecord(dial)),
    ];
  }

  /** The record of a call or dial, by its call id or channel id. */
  record(id: string): CallRecord | undefined {
    const call = this.find(id);
    if (call !== undefined) return recordOf(call);
    const dials = [...this.#dials.values()];
    const dial = dials.find((candidate) => describeDial(candidate).callId === id) ?? this.#dials.get(id);
    return dial && originatedRecord(dial);
  }

  /** A call by its call id or channel id. */
  find(id: string): Call | undefined {
    const calls = [...this.#calls.values()];
    return calls.find(({ info }) => info.callId === id) ?? this.findByChannel(id);
  }

  /** A call by its caller's channel. Also by its first channel, if another has replaced that. */
  findByChannel(id: string): Call | undefined {
    return this.#calls.get(id) ?? [...this.#calls.values()].find(({ info }) => info.channelId === id);
  }

  /** A call by the Twilio SID that its bot's present connection knows. */
  findBySid(sid: string): Call | undefined {
    return [...this.#calls.values()].find(({ info, botConnectionId: id }) => {
      return id !== undefined && callSid(info.channelId, id) === sid;
    });
  }

  /** Number of outbound calls, dials and second legs over a provider. These are charged. */
  outbound(provider: string): number {
    const calls = [...this.#calls.values()];
    const legs = calls.filter((call) => call.latestTransfer?.legProvider === provider);
    const placed = calls.filter(({ info }) => info.direction === 'outbound' && info.sipProvider === provider);
    const dials = [...this.#dials.values()].filter(({ channel }) => providerName(channel) === provider);
    return legs.length + placed.length + dials.length;
  }

  /** The same, with those of other processes of the bridge. */
  charged(provider: string): number {
    return this.outbound(provider) + this.#elsewhere.outbound(provider);
  }

  /** Takes a permit of a provider for a second leg. Returns false if a limit is reached. */
  admitLeg(provider: Provider): boolean {
    const { maxCalls } = provider.limits;
    const isFull = maxCalls > 0 && this.charged(provider.name) >= maxCalls;
    return !isFull && this.rates.take(provider, performance.now()) === 0;
  }
}
