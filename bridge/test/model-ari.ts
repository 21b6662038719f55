import { ActiveApps } from '../src/ari/active-apps.ts';
import type { AriClient } from '../src/ari/client.ts';
import type { AriBridge, AriChannel } from '../src/ari/model.ts';
import { AriError } from '../src/ari/requests.ts';
import type { AsteriskModel, ModelChannel } from './asterisk-model.ts';

const TIMEOUT_MS = 5_000;

/** How a REFER, asked of a caller's network by the dialplan, ends. */
const REFER_ANSWERS = [
  ['SUCCESS', '0'],
  ['FAILURE', '486'],
  ['FAILURE', '405'],
] as const;

/**
 * The ARI requests of calls. Other requests belong to the connection, to media by WebSocket, or to
 * an Asterisk without `channelvars`.
 */
type Asked = Omit<
  AriClient,
  | (
      | 'checkBefore'
      | 'removeGlobalVariable'
      | 'suspend'
      | 'resume'
      | 'refuse'
      | 'ping'
      | 'sendUserEvent'
      | 'globalVariable'
      | 'setGlobalVariable'
    )
  | ('app' | 'useApp' | 'created' | 'unsubscribe' | 'moveChannel' | 'applications')
  | ('allowEvents' | 'close' | 'createMediaSocket' | 'mediaRefusedMs' | 'variables')
>;

/**
 * Access of one process to the model: what `AriClient` does, with replies that are late, missing or
 * refusals.
 */
export class ModelAri implements Asked {
  readonly authorization = '';
  readonly apps = new ActiveApps(() => '');
  readonly #model: AsteriskModel;
  /** Its process has died: it hears and does nothing more. */
  isDead = false;

  constructor(model: AsteriskModel) {
    this.#model = model;
    this.apps.opened('');
  }

  /** As the bridge knows it. */
  get client(): AriClient {
    return this as unknown as AriClient;
  }

  #ask<T>(id: string, effect: () => T, isRead = false): Promise<T> {
    const model = this.#model;
    const { clock, weather } = model;
    if (this.isDead) return new Promise(() => {});
    const isFailing = !weather.isReachable || model.happens(weather.failures);
    // A channel that cannot even be read is hung up, by design: reads fail by silence only.
    const kind = weather.isReachable && !isRead ? model.random() : 1;
    if (isFailing && !isRead) model.trouble(id);
    return new Promise((resolve, reject) => {
      const silence = () => {
        if (!this.isDead) reject(new AriError(`model ${id}`, 0, 'timed out'));
      };
      clock.after(1 + model.upTo(10), () => {
        if (isFailing && kind > 0.7) return clock.after(TIMEOUT_MS, silence);
        if (isFailing && kind < 0.4) {
          return this.isDead ? undefined : reject(new AriError(`model ${id}`, 500, 'failed'));
        }
        try {
          const value = effect();
          if (isFailing) return clock.after(TIMEOUT_MS, silence);
          clock.after(model.upTo(3), () => {
            if (!this.isDead) resolve(value);
          });
        } catch (error) {
          if (!this.isDead) reject(error);
        }
        return undefined;
      });
    });
  }

  /** As `AriConnection` has it: the events of one connection, and a mark behind them. */
  caughtUp(): () => Promise<void> {
    const model = this.#model;
    const { listener } = model;
    return async () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const isLost = () => listener === undefined || model.listener !== listener;
      if (isLost()) throw new Error('the connection to the events has ended');
      await this.#ask('', () => model.tellApp(resolve), true);
      model.clock.after(TIMEOUT_MS, () => reject(new Error('behind')));
      await promise;
      if (this.isDead) await new Promise(() => {});
    };
  }

  #present(id: string): ModelChannel {
    const channel = this.#model.channels.get(id);
    if (channel === undefined) throw new AriError(`model ${id}`, 404, 'Channel not found');
    return channel;
  }

  #inApp(id: string): ModelChannel {
    const channel = this.#present(id);
    if (channel.place !== 'app' || channel.isLeaving)
      throw new AriError(`model ${id}`, 409, 'Channel not in Stasis application');
    return channel;
  }

  #members(id: string): Set<string> {
    const members = this.#model.bridges.get(id);
    if (members === undefined) throw new AriError(`model ${id}`, 404, 'Bridge not found');
    return members;
  }

  async ring(id: string): Promise<void> {
    await this.#ask(id, () => this.#inApp(id));
  }

  async stopRinging(id: string): Promise<void> {
    await this.ring(id).catch((error: AriError) => passOver404(error));
  }

  async answer(id: string): Promise<void> {
    await this.#ask(id, () => this.#model.setState(this.#inApp(id), 'Up'));
  }

  async hangUp(id: string, cause: number): Promise<void> {
    await this.#ask(id, () => {
      this.#present(id);
      // Carried out for a process that has died: nobody else knows of it.
      if (this.isDead) this.#model.ownEnds.add(id);
      this.#model.end(id, cause);
    }).catch(passOver404);
  }

  async continueInDialplan(id: string, place?: { context: string; extension: string }): Promise<void> {
    await this.#ask(id, () => {
      const model = this.#model;
      const channel = this.#inApp(id);
      if (this.isDead) model.ownEnds.add(id);
      model.leaveApp(channel, 'dialplan');
      channel.context = place?.context ?? channel.context;
      const isRefer = place?.context === 'transfer';
      const token = channel.variables.TRANSFER_TOKEN ?? '';
      model.clock.after(200 + model.upTo(6_000), () => {
        if (!model.isUp(channel) || channel.place !== 'dialplan') return;
        const answer = REFER_ANSWERS[model.upTo(2)] ?? REFER_ANSWERS[0];
        if (isRefer) model.enterApp(channel, ['refer-result', ...answer, token]);
        else model.farEndHangsUp(id);
      });
    });
  }

  async setVariable(id: string, name: string, value: string): Promise<void> {
    await this.#ask(id, () => {
      this.#present(id).variables[name] = value;
    });
  }

  async dropComfortNoise(id: string): Promise<void> {
    await this.setVariable(id, 'JITTERBUFFER', 'disabled');
  }

  async variable(id: string, name: string): Promise<string | undefined> {
    return await this.#ask(id, () =>
      name.startsWith('DIALPLAN_EXISTS') ? '1' : this.#model.channels.get(id)?.variables[name],
    );
  }

  async sendDtmf(id: string): Promise<void> {
    await this.ring(id);
  }

  async createChannel(
    id: string,
    endpoint: string,
    appArgs: string,
    variables: Readonly<Record<string, string>>,
  ): Promise<AriChannel> {
    const create = () =>
      this.#ask(id, () => {
        const model = this.#model;
        if (model.channels.has(id)) throw new AriError(`model ${id}`, 409, 'exists');
        const name = model.telephone(endpoint.split('@')[1]);
        const channel = model.add(id, name, {
          subscribed: true,
          isOriginated: true,
          variables: { ...variables },
        });
        model.clock.after(model.upTo(5), () => model.enterApp(channel, appArgs.split(',')));
        return model.show(channel);
      });
    const again = (error: AriError) => {
      if (error.status === 0) return create();
      throw error;
    };
    return await create()
      .catch(again)
      .catch((error: AriError) => {
        if (error.status !== 409) throw error;
        return this.#ask(id, () => this.#model.show(this.#present(id)));
      });
  }

  async dial(id: string, timeoutS: number): Promise<void> {
    await this.#ask(id, () => this.#model.dialFarEnd(this.#inApp(id), timeoutS * 1_000));
  }

  async createExternalMedia(id: string): Promise<{ address: string; port: number }> {
    return await this.#ask(id, () => {
      const model = this.#model;
      if (model.channels.has(id)) throw new AriError(`model ${id}`, 409, 'exists');
      const channel = model.add(id, 'UnicastRTP/127.0.0.1:4000-0x7f00', { state: 'Up', subscribed: true });
      model.clock.after(model.upTo(5), () => model.enterApp(channel, []));
      return { address: '127.0.0.1', port: 4_000 };
    });
  }

  async createBridge(id: string): Promise<void> {
    await this.#ask(id, () => {
      if (this.#model.bridges.has(id)) throw new AriError(`model ${id}`, 409, 'exists');
      this.#model.bridges.set(id, new Set());
    });
  }

  async addToBridge(bridgeId: string, id: string): Promise<void> {
    await this.#ask(bridgeId, () => {
      const members = this.#members(bridgeId);
      const channel = this.#model.channels.get(id);
      if (channel === undefined) throw new AriError(`model ${id}`, 400, 'Channel not found');
      if (channel.place !== 'app' || channel.isLeaving)
        throw new AriError(`model ${id}`, 422, 'Channel not in Stasis application');
      members.add(id);
    });
  }

  async removeFromBridge(bridgeId: string, id: string): Promise<void> {
    await this.#ask(bridgeId, () => {
      if (!this.#members(bridgeId).delete(id))
        throw new AriError(`model ${id}`, 422, 'Channel not in this bridge');
    });
  }

  async destroyBridge(id: string): Promise<void> {
    await this.#ask(id, () => void this.#model.bridges.delete(id));
  }

  async subscribe(id: string): Promise<void> {
    await this.#ask(id, () => {
      const channel = this.#model.channels.get(id);
      if (channel === undefined) throw new AriError(`model ${id}`, 422, 'Event source does not exist');
      channel.subscribed = true;
    });
  }

  async farEndCounts(id: string): Promise<Record<string, number>> {
    return await this.#ask(id, () => {
      this.#present(id);
      return {};
    });
  }

  async channels(): Promise<AriChannel[]> {
    const { channels } = this.#model;
    return await this.#ask('', () => [...channels.values()].map((one) => this.#model.show(one)), true);
  }

  async channel(id: string): Promise<AriChannel | undefined> {
    return await this.#ask(
      id,
      () => {
        const channel = this.#model.channels.get(id);
        return channel && this.#model.show(channel);
      },
      true,
    );
  }

  async bridges(): Promise<AriBridge[]> {
    const all = () => [...this.#model.bridges].map(([id, members]) => ({ id, channels: [...members] }));
    return await this.#ask('', all, true);
  }

  async startedAt(): Promise<string> {
    return await this.#ask('', () => this.#model.startedAt, true);
  }

  async applicationChannels(): Promise<string[]> {
    const held = (one: ModelChannel) => one.place === 'app' || one.subscribed;
    const all = () => [...this.#model.channels.values()].filter(held).map(({ id }) => id);
    return await this.#ask('', all, true);
  }
}

function passOver404(error: AriError): void {
  if (error.status !== 404) throw error;
}
