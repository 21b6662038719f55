import type { AdoptedTalk } from '../call/adopted-talk.ts';
import { Call, type CallContext } from '../call/call.ts';
import type { Dial } from '../call/dial.ts';
import type { CallInfo } from '../call/info.ts';
import type { CallSettings } from '../call/settings.ts';
import type { CallRecord } from '../records/record.ts';
import { recordOf } from '../reports/reports.ts';
import type { Admission } from './admission.ts';
import type { PendingReleases } from './pending-releases.ts';
import type { SwitchboardContext } from './switchboard-context.ts';

/** An outbound call whose channel has been created. */
export interface PlacedCall {
  readonly info: CallInfo;
  readonly settings: CallSettings;
}

/** What running calls work with. */
export interface RunningCallsContext
  extends Pick<SwitchboardContext, 'instance' | 'ari' | 'media' | 'log' | 'reports' | 'background' | 'gate'> {
  readonly pendingReleases: PendingReleases;
  readonly admission: Pick<Admission, 'isDraining'>;
  readonly admitLeg: CallContext['admitLeg'];
  /** The call of a channel is over. Never rejects. */
  readonly ended: (channelId: string) => Promise<void>;
}

/** The calls between offer and release: places, begins, runs and ends them. */
export class RunningCalls {
  readonly #context: RunningCallsContext;
  readonly #all = new Map<string, Call>();
  readonly #placing = new Map<string, Dial>();
  /** Number of calls so far. */
  #begun = 0;

  constructor(context: RunningCallsContext) {
    this.#context = context;
  }

  /** Calls between offer and release, by the caller's channel. */
  get all(): ReadonlyMap<string, Call> {
    return this.#all;
  }

  /** Channels being created for outbound calls. */
  get placing(): ReadonlyMap<string, Dial> {
    return this.#placing;
  }

  /** Number of calls under way or being placed. */
  get count(): number {
    return this.#all.size + this.#placing.size;
  }

  /**
   * Places a call on a channel that `create` creates with an id of ours. The bot is connected while
   * the callee's phone rings. Rejects with the error of `create`: then there is no call.
   */
  async place(channelId: string, dial: Dial, create: () => Promise<PlacedCall>): Promise<CallRecord> {
    const { gate, pendingReleases, background } = this.#context;
    this.#placing.set(channelId, dial);
    gate.check();
    const { era } = pendingReleases;
    try {
      await pendingReleases.finish(channelId);
      const created = create();
      // A stop waits for the channel, and ends the call that it becomes.
      background.run(
        created.catch(() => {}),
        'make a channel',
      );
      const { info, settings } = await created;
      const call = this.begin(info, false, settings, dial);
      if (dial.cancelled) call.end({ kind: 'api-hangup' });
      return recordOf(call);
    } catch (error) {
      this.#placing.delete(channelId);
      await pendingReleases.remove(channelId, era);
      throw error;
    } finally {
      this.#placing.delete(channelId);
      gate.check();
    }
  }

  /** Begins the call of a channel. `dial`: ours, if it has not been answered yet. */
  begin(info: CallInfo, isUp: boolean, settings: CallSettings, dial?: Dial, talk?: AdoptedTalk): Call {
    const { ari, media, log, reports, instance, background, gate } = this.#context;
    const context: CallContext = {
      ids: talk?.ids ?? { instance, number: ++this.#begun },
      talk,
      ari,
      media,
      log,
      admitLeg: this.#context.admitLeg,
      onChange: (changed, change) => reports.changed(changed, change),
    };
    const call = new Call(info, isUp, settings, context, dial);
    this.#all.set(call.caller.id, call);
    this.#context.pendingReleases.forget(call.caller.id);
    gate.check();
    reports.started(call);
    if (this.#context.admission.isDraining && !call.answered) call.end({ kind: 'shutdown' });
    background.run(this.#run(call), 'run a call', call);
    return call;
  }

  async #run(call: Call): Promise<void> {
    const { pendingReleases, gate, reports, ended } = this.#context;
    const { era } = pendingReleases;
    const result = await call.run();
    const { id, release } = call.caller;
    this.#all.delete(id);
    gate.check();
    reports.ended(call, result);
    if (release !== undefined && era === pendingReleases.era) pendingReleases.remember(id, release);
    await ended(id);
  }

  /** Another channel takes the place of a caller's. */
  replace(call: Call, replacedId: string, channelId: string): void {
    this.#all.delete(replacedId);
    this.#all.set(channelId, call);
    call.caller.replacedBy(channelId);
  }

  /** Ends the calls that nobody has answered: their callers can be served elsewhere. */
  endUnanswered(): void {
    for (const call of this.#all.values()) if (!call.answered) call.end({ kind: 'shutdown' });
  }

  /** Ends every call, after the bot's last words. */
  endAll(): void {
    for (const call of this.#all.values()) call.end({ kind: 'shutdown' });
  }

  /** Ends the last words of all calls that are ending. */
  cutAll(): void {
    for (const call of this.#all.values()) call.cut();
  }
}
