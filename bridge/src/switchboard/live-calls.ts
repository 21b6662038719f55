import type { Call } from '../call/call.ts';
import { providerName } from '../call/info.ts';
import { CallRates } from '../config/call-limits.ts';
import type { Provider } from '../config/providers.ts';
import { callSid } from '../pipecat/twilio.ts';
import type { CallRecord } from '../records/record.ts';
import { recordOf } from '../reports/reports.ts';
import { describeDial, type Originated, originatedRecord } from './originated.ts';

/** What is asked of the calls and dials under way. Only what is asked for is put together: there may be thousands. */
export class LiveCalls {
  /** How fast those to a provider follow each other, second legs among them. */
  readonly rates = new CallRates();
  readonly #calls: ReadonlyMap<string, Call>;
  readonly #dials: ReadonlyMap<string, Originated>;

  /** Both by channel; they are looked at, never changed. */
  constructor(calls: ReadonlyMap<string, Call>, dials: ReadonlyMap<string, Originated>) {
    this.#calls = calls;
    this.#dials = dials;
  }

  /** All of them, those that are yet to be answered included. */
  get records(): CallRecord[] {
    return [
      ...[...this.#calls.values()].map((call) => recordOf(call)),
      ...[...this.#dials.values()].map((dial) => originatedRecord(dial)),
    ];
  }

  /** One of them, by its id or its channel's. */
  record(id: string): CallRecord | undefined {
    const call = this.find(id);
    if (call !== undefined) return recordOf(call);
    const dials = [...this.#dials.values()];
    const dial = dials.find((one) => describeDial(one).callId === id) ?? this.#dials.get(id);
    return dial && originatedRecord(dial);
  }

  /** The call with this id, its own or its channel's. */
  find(id: string): Call | undefined {
    const calls = [...this.#calls.values()];
    return calls.find(({ info }) => info.callId === id) ?? this.findByChannel(id);
  }

  /** The call of a channel: that of its caller, or the one that it began with, where another has taken that one's place. */
  findByChannel(id: string): Call | undefined {
    return this.#calls.get(id) ?? [...this.#calls.values()].find(({ info }) => info.channelId === id);
  }

  /** The call that its bot knows by this Twilio SID. */
  findBySid(sid: string): Call | undefined {
    return [...this.#calls.values()].find(({ info }) => callSid(info.channelId) === sid);
  }

  /** How many there are to a provider that somebody pays for: those that were placed, and second legs. */
  outbound(provider: string): number {
    const calls = [...this.#calls.values()];
    const legs = calls.filter((call) => call.lastTransfer?.legProvider === provider);
    const placed = calls.filter(({ info }) => info.direction === 'outbound' && info.sipProvider === provider);
    const dials = [...this.#dials.values()].filter(({ channel }) => providerName(channel) === provider);
    return legs.length + placed.length + dials.length;
  }

  /** Whether a second leg to this provider may begin now; then it counts. */
  admits(provider: Provider): boolean {
    const { maxCalls } = provider.limits;
    const isFull = maxCalls > 0 && this.outbound(provider.name) >= maxCalls;
    return !isFull && this.rates.take(provider, performance.now()) === 0;
  }
}
