import assert from 'node:assert/strict';
import { pino } from 'pino';
import type { ChannelEvent } from '../src/ari/model.ts';
import { dialChannelId } from '../src/call/dial.ts';
import { loadConfig } from '../src/config/environment.ts';
import { parseProvider } from '../src/config/providers.ts';
import { CallControl } from '../src/control/call-control.ts';
import type { CallRecord } from '../src/records/record.ts';
import type { CallbackFields, StatusCallbacks } from '../src/reports/callbacks.ts';
import type { Metrics } from '../src/reports/metrics.ts';
import { CallReports } from '../src/reports/reports.ts';
import { AsteriskPorts } from '../src/switchboard/asterisk-ports.ts';
import { Background } from '../src/switchboard/background.ts';
import { CallsElsewhere } from '../src/switchboard/calls-elsewhere.ts';
import { Predecessors } from '../src/switchboard/predecessors.ts';
import { Switchboard } from '../src/switchboard/switchboard.ts';
import { AsteriskModel, FAIR, randomNumbers } from './asterisk-model.ts';
import { ModelAri } from './model-ari.ts';
import { ModelPool } from './model-media.ts';
import type { VirtualClock } from './virtual-clock.ts';

const CALLBACK_URL = 'http://127.0.0.1:1/callback';
const RECONCILE_MS = 30_000;
const silent = pino({ level: 'silent' });
const carrier = parseProvider('carrier', 'COUNTRY_CODE=49\nTRANSFER_METHOD=auto\n');
const config = {
  ...loadConfig({
    ARI_USERNAME: 'a',
    ARI_PASSWORD: 'b',
    TRANSFER_CONTEXTS: 'desk',
    CALLBACK_HOSTS: '127.0.0.1',
  }),
  providers: new Map([['carrier', carrier]]),
};
const metrics = {
  callEnded: () => {},
  callRefused: () => {},
  dialFailed: () => {},
  transferEnded: () => {},
} as unknown as Metrics;

/** What a call's end may be blamed on, beyond trouble with requests and events. */
export type Deed = 'bot' | 'bot-absent' | 'api' | 'media' | 'transfer' | 'restart' | 'kill';

/**
 * One process of the bridge, without sockets and threads: the real switchboard with all its calls.
 */
class ModelBridge {
  readonly ari: ModelAri;
  readonly switchboard: Switchboard;
  readonly control: CallControl;
  readonly media: ModelPool;
  isDead = false;

  constructor(lab: ModelLab, number: number) {
    this.ari = new ModelAri(lab.model);
    this.media = new ModelPool(lab.model, (id) => {
      const refuses = lab.model.happens(lab.botAbsences);
      if (refuses) lab.did(id, 'bot-absent');
      return refuses;
    });
    const callbacks = {
      post: (_url: string, fields: CallbackFields) => {
        if (!this.isDead) lab.callbacks.push(fields.call_sid);
      },
    } as unknown as StatusCallbacks;
    const reports = new CallReports({
      metrics,
      callbacks,
      log: silent,
      onChange: (_event, record) => {
        if (this.isDead) return;
        this.control.changed(record);
        lab.note(record);
      },
    });
    const instance = number.toString(16).padStart(8, '0');
    this.switchboard = new Switchboard({
      instance,
      asteriskPorts: new AsteriskPorts({ min: 10_000, max: 17_999 }),
      gate: { isOverloaded: false, letGo: () => {}, check: () => {} },
      caughtUp: () => this.ari.caughtUp(),
      elsewhere: new CallsElsewhere(),
      predecessors: new Predecessors({
        instance,
        app: 'pipecat',
        ari: this.ari.client,
        heartbeatMs: 1_000,
        takeAppOf: async () => async () => {},
        recover: async () => {},
        isDead: async () => false,
      }),
      config,
      ari: this.ari.client,
      media: this.media.pool,
      reports,
      log: silent,
      background: new Background(silent),
    });
    this.control = new CallControl({
      config,
      ari: this.ari.client,
      switchboard: this.switchboard,
      ariProblem: () => undefined,
      elsewhere: { record: async () => undefined, records: async () => [] },
      records: { get: async (id) => lab.records.get(id), list: async () => ({ records: [] }) },
    });
  }
}

/**
 * The bridge's switchboard between a model of Asterisk and bots that are only a list of actions.
 */
export class ModelLab {
  readonly model: AsteriskModel;
  readonly clock: VirtualClock;
  bridge: ModelBridge;
  /** Of bots, how many are not to be reached. */
  botAbsences = 0.05;
  /** By channel, the latest. */
  readonly records = new Map<string, CallRecord>();
  readonly ended: CallRecord[] = [];
  readonly callbacks: string[] = [];
  readonly #deeds = new Map<string, Set<Deed>>();
  /** Whoever ever was a call, or was to be one: channel ids. */
  readonly telephones: string[] = [];
  /** Ends that nothing explains: what is thrown where they are told is caught by the bridge. */
  readonly #wrong: string[] = [];
  /**
   * Hung up by a process that died before they were gone. The next process takes them for callers;
   * they leave then.
   */
  readonly #dying = new Set<string>();
  /** Pairs who talked when a process died: only one of the two, or an order, may separate them. */
  readonly #talks: { readonly callerId: string; readonly legId: string; readonly bridgeId: string }[] = [];
  #bridges = 1;
  #nextCompareMs = RECONCILE_MS;

  constructor(clock: VirtualClock, seed: number) {
    this.clock = clock;
    this.model = new AsteriskModel(clock, randomNumbers(seed));
    this.bridge = new ModelBridge(this, this.#bridges);
    this.connect();
  }

  did(channelId: string, deed: Deed): void {
    this.#deeds.set(channelId, (this.#deeds.get(channelId) ?? new Set()).add(deed));
  }

  has(channelId: string, ...deeds: Deed[]): boolean {
    return deeds.some((deed) => this.#deeds.get(channelId)?.has(deed));
  }

  note(record: CallRecord): void {
    this.records.set(record.channelId, record);
    if (record.state !== 'closed') return;
    this.ended.push(record);
    this.#judge(record);
  }

  /** Events flow from now on, and what was missed is looked for. */
  connect(): void {
    const { switchboard } = this.bridge;
    this.model.listener = (event: ChannelEvent) => switchboard.dispatch(event);
    this.compare();
  }

  disconnect(): void {
    this.model.listener = undefined;
  }

  compare(): void {
    this.bridge.switchboard.reconcile().catch(() => {});
  }

  /** Time passes, with the comparisons that belong to it. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.nowMs + ms;
    while (this.#nextCompareMs <= endMs) {
      await this.clock.pass(this.#nextCompareMs - this.clock.nowMs);
      this.#nextCompareMs += RECONCILE_MS;
      if (this.model.listener !== undefined) this.compare();
    }
    await this.clock.pass(endMs - this.clock.nowMs);
  }

  /** The bridge's process dies, and another one starts. */
  kill(): void {
    const { bridge } = this;
    bridge.isDead = true;
    bridge.ari.isDead = true;
    for (const media of bridge.media.open) media.isOpen = false;
    for (const id of this.telephones) this.did(id, 'kill');
    for (const { id, isLeaving } of this.model.channels.values()) if (isLeaving) this.#dying.add(id);
    this.#noteTalks();
    this.#bridges += 1;
    this.bridge = new ModelBridge(this, this.#bridges);
    const live = [...this.records.values()].filter(({ state }) => state !== 'closed');
    this.bridge.switchboard.adopt(live);
    this.disconnect();
    this.connect();
  }

  /** Whether a call ended for a reason that there was. */
  #judge({ channelId: id, endReason, endDetail, state }: CallRecord): void {
    const { model } = this;
    const isTroubled = model.troubled.has(id);
    const isGood = {
      // A call that has just been answered may still be hung up as a dial.
      'caller-hangup': () => model.ownEnds.has(id) || this.#dying.has(id) || this.has(id, 'api'),
      'not-answered': () => model.ownEnds.has(id) || isTroubled || this.has(id, 'api', 'kill'),
      'bot-hangup': () => this.has(id, 'bot'),
      'bot-closed': () => this.has(id, 'bot'),
      'bot-lost': () => this.has(id, 'bot'),
      'bot-unavailable': () => this.has(id, 'bot-absent', 'bot'),
      'media-failed': () => this.has(id, 'media', 'restart') || isTroubled,
      // A caller hung up before the end of a comparison that still saw them: no other event reports
      // that.
      'setup-failed': () => isTroubled || this.has(id, 'media', 'restart') || model.ownEnds.has(id),
      // Of a call that came and went between a new start and the next comparison, too.
      'asterisk-lost': () => this.has(id, 'restart') || model.startedAt !== 'start 0',
      transferred: () => this.has(id, 'transfer'),
      'api-hangup': () => this.has(id, 'api'),
      'bridge-died': () => this.has(id, 'kill') && model.channels.get(id)?.place !== 'app',
    }[endReason as string];
    if (!isGood?.()) this.#wrong.push(`${id}: ${endReason} (${endDetail ?? state})`);
  }

  #noteTalks(): void {
    const { channels, bridges } = this.model;
    for (const [bridgeId, members] of bridges) {
      const legId = [...members].find((id) => id.startsWith('pct-'));
      const callerId = [...members].find((id) => !/^pc[mt]-/.test(id));
      if (legId === undefined || callerId === undefined || members.size !== 2) continue;
      const both = [channels.get(legId), channels.get(callerId)];
      const isTalk = both.every((one) => one?.state === 'Up' && one.place === 'app' && !one.isLeaving);
      if (isTalk) this.#talks.push({ callerId, legId, bridgeId });
    }
  }

  /**
   * Pairs who talked when a process died still talk, unless one of the two left or was ordered to
   * leave.
   */
  #assertTalks(): void {
    const { model } = this;
    for (const { callerId, legId, bridgeId } of this.#talks) {
      if (model.ownEnds.has(callerId) || model.ownEnds.has(legId) || this.has(callerId, 'api', 'restart'))
        continue;
      const members = [...(model.bridges.get(bridgeId) ?? [])].sort();
      assert.deepEqual(members, [callerId, legId].sort(), `${callerId} was parted from ${legId}`);
      const inOthers = [...model.bridges].filter(([id, ids]) => id !== bridgeId && ids.has(callerId));
      assert.deepEqual(inOthers, [], `${callerId} was led elsewhere`);
    }
  }

  /** After a fair while every call has its caller, and everything in Asterisk an owner. */
  assertOwned(): void {
    assert.deepEqual(this.#wrong, [], 'ended wrongly');
    this.#assertTalks();
    const { model, bridge } = this;
    const live = new Map(bridge.switchboard.live.records.map((record) => [record.channelId, record]));
    for (const [id, { state }] of live) {
      assert.ok(model.channels.has(id), `the call of ${id} (${state}) has no caller`);
    }
    for (const channel of model.channels.values()) {
      const { id, place } = channel;
      const callerId = /^pc[mt]-/.test(id) ? /^pc[mt]-[0-9a-f]{8}-[\d.]+-(.*)~$/.exec(id)?.[1] : id;
      if (place === 'app') assert.ok(live.has(callerId ?? ''), `${id} waits in the app without a call`);
    }
    for (const [id, members] of model.bridges) {
      const callerId = /^pcb-[0-9a-f]{8}-\d+-(.*)$/.exec(id)?.[1] ?? '';
      const state = live.get(callerId)?.state;
      assert.ok(state !== undefined, `the bridge ${id} has no call`);
      const caller = model.channels.get(callerId);
      if (state === 'active' && caller?.place === 'app')
        assert.ok(members.has(callerId) && members.size > 1, `the caller ${callerId} hears nobody`);
    }
  }

  /** When all have hung up, nothing is left, and every call has been told of once. */
  assertOver(): void {
    assert.deepEqual(this.#wrong, [], 'ended wrongly');
    const { model, bridge } = this;
    const left = [...model.channels.values()].map(({ id, place }) => `${id} (${place})`);
    assert.deepEqual([...left, ...model.bridges.keys()], [], 'left in Asterisk');
    assert.deepEqual(
      bridge.switchboard.live.records.map(({ channelId, state }) => `${channelId} ${state}`),
      [],
      'calls without a caller',
    );
    assert.equal(bridge.switchboard.running.all.size, 0);
    assert.equal(bridge.media.open.size, 0, 'media without a call');
    const live = [...this.records.values()].filter(({ state }) => state !== 'closed');
    assert.deepEqual(live, [], 'records without an end');
    for (const id of new Set(this.ended.map(({ channelId }) => channelId))) {
      const ends = this.ended.filter(({ channelId }) => channelId === id);
      const told = ends.map(({ endReason }) => endReason).join();
      // Whom a process has not got rid of before it died, the next one serves anew.
      // So does the same one whom the dialplan brings back after their call.
      const most =
        Math.max(1, this.model.entries.get(id) ?? 0) +
        (this.model.troubled.has(id) || this.#dying.has(id) ? this.#bridges - 1 : 0);
      assert.ok(ends.length <= most, `${id} ended ${ends.length} times: ${told}`);
      const callbacks = this.callbacks.filter((sid) => sid === id);
      assert.equal(callbacks.length, ends.length, `${id} has ${callbacks.length} callbacks: ${told}`);
    }
  }

  /** All is well from here on, and after a while all far ends hang up. */
  async finish(): Promise<void> {
    this.model.weather = { ...FAIR };
    this.botAbsences = 0;
    if (this.model.listener === undefined) this.connect();
    await this.pass(4 * RECONCILE_MS);
    this.assertOwned();
    for (const id of this.telephones) this.model.farEndHangsUp(id);
    await this.pass(4 * RECONCILE_MS);
    this.assertOver();
  }

  /** Callers begin so. */
  callIn(): void {
    const id = `1763800000.${this.telephones.length}`;
    this.telephones.push(id);
    const variables = { X_CALLBACK_URL: CALLBACK_URL };
    const channel = this.model.add(id, this.model.telephone(), { state: 'Ring', variables });
    this.model.enterApp(channel, []);
  }

  /** Somebody else originates a call into our app. */
  originate(): void {
    const id = `1763800000.${this.telephones.length}`;
    this.telephones.push(id);
    const variables = { X_CALLBACK_URL: CALLBACK_URL };
    const channel = this.model.add(id, this.model.telephone(), {
      subscribed: true,
      isOriginated: true,
      variables,
    });
    this.model.dialFarEnd(channel, 30_000);
  }

  /** We place a call. */
  order(): void {
    const callId = `order-${this.telephones.length}`;
    const order = { provider: 'carrier', to: '+4930444444', callId, ringTimeoutSeconds: 20 };
    this.telephones.push(dialChannelId(callId));
    this.bridge.control.place({ ...order, callbackUrl: CALLBACK_URL }).catch(() => {});
  }
}
