import type { AriChannel, ChannelEvent } from '../src/ari/model.ts';
import { parseOwnId } from '../src/call/asterisk-ids.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Events that are later make set-ups fail. */
const LATE_MS = 150;

/** A channel of the model. */
export interface ModelChannel {
  readonly id: string;
  readonly name: string;
  state: 'Down' | 'Ring' | 'Ringing' | 'Up';
  /** In our app, in the dialplan, or in neither: an outbound channel that nobody has answered. */
  place: 'app' | 'dialplan' | 'none';
  /** Of the dialplan. */
  context: string;
  /** App arguments of its last stay in our app. */
  args: readonly string[];
  subscribed: boolean;
  readonly variables: Record<string, string>;
  readonly isOriginated: boolean;
  isLeaving: boolean;
}

/** How requests and events fare. */
export interface Weather {
  /** Of requests, how many fail. */
  failures: number;
  /** Of events, how many are lost. */
  losses: number;
  duplicates: number;
  /** The longest that an event is under way. */
  eventMaxMs: number;
  /** The REST interface answers. */
  isReachable: boolean;
}

export const FAIR: Weather = { failures: 0, losses: 0, duplicates: 0, eventMaxMs: 5, isReachable: true };

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * What Asterisk holds, and what happens in it without a request: channels, bridges, and the events
 * that report them.
 */
export class AsteriskModel {
  readonly channels = new Map<string, ModelChannel>();
  readonly bridges = new Map<string, Set<string>>();
  readonly random: () => number;
  readonly clock: VirtualClock;
  weather: Weather = { ...FAIR };
  /** Who has our app; events are lost where there is nobody. */
  listener: ((event: ChannelEvent) => void) | undefined;
  /** Channels whose far end, or whose dialplan, has ended them or led them away. */
  readonly ownEnds = new Set<string>();
  /** Calls, by their first channel, of which an event was lost or late, or a request failed. */
  readonly troubled = new Set<string>();
  /** How often a channel has entered our app. */
  readonly entries = new Map<string, number>();
  startedAt = 'start 0';
  /** Events that somebody was to be told of so far; `lost`: the one of them that is lost. */
  told = 0;
  lost: number | undefined;
  #lastEventMs = 0;
  #count = 0;
  #starts = 0;

  constructor(clock: VirtualClock, random: () => number) {
    this.clock = clock;
    this.random = random;
  }

  /** A number up to `max`. */
  upTo(max: number): number {
    return Math.floor(this.random() * (max + 1));
  }

  happens(share: number): boolean {
    return this.random() < share;
  }

  /** The call of a channel or bridge has an excuse. */
  trouble(id: string): void {
    this.troubled.add(parseOwnId(id)?.callerId ?? id);
  }

  add(id: string, name: string, fields: Partial<ModelChannel>): ModelChannel {
    const made: ModelChannel = {
      id,
      name,
      state: 'Down',
      place: 'none',
      args: [],
      subscribed: false,
      variables: {},
      context: 'from-provider',
      isOriginated: false,
      isLeaving: false,
      ...fields,
    };
    this.channels.set(id, made);
    return made;
  }

  /** A name as Asterisk gives them to channels of an endpoint. */
  telephone(provider = 'carrier'): string {
    this.#count += 1;
    return `PJSIP/${provider}-${this.#count.toString(16).padStart(8, '0')}`;
  }

  show(channel: ModelChannel): AriChannel {
    const isHere = channel.place === 'app';
    const app_name = isHere ? 'Stasis' : channel.place === 'dialplan' ? 'Playback' : 'AppDial2';
    const app_data = isHere ? ['pipecat', ...channel.args].join(',') : '';
    return {
      id: channel.id,
      name: channel.name,
      state: channel.state,
      protocol_id: '',
      caller: { number: '+4930111111' },
      connected: { number: channel.isOriginated ? '+4930222222' : '' },
      dialplan: {
        context: channel.context,
        exten: channel.isOriginated ? 's' : '+4930222222',
        app_name,
        app_data,
      },
      channelvars: { ...channel.variables },
    };
  }

  /**
   * Sends events to the owner of our app, if the app is subscribed to the channel: in order, but
   * perhaps late, twice or never.
   */
  tell(channel: ModelChannel, event: object): void {
    if (channel.place !== 'app' && !channel.subscribed) return;
    const { losses, duplicates, eventMaxMs } = this.weather;
    const { listener } = this;
    this.told += 1;
    if (listener === undefined || this.told === this.lost || this.happens(losses))
      return this.trouble(channel.id);
    const { nowMs } = this.clock;
    this.#lastEventMs = Math.max(this.#lastEventMs, nowMs + this.upTo(eventMaxMs));
    if (this.#lastEventMs - nowMs > LATE_MS) this.trouble(channel.id);
    // What is both late and double can only be set right by the next comparison.
    const isLate = this.#lastEventMs - nowMs > FAIR.eventMaxMs;
    const times = !isLate && this.happens(duplicates) ? 2 : 1;
    this.clock.after(this.#lastEventMs - nowMs, () => {
      if (this.listener !== listener) return this.trouble(channel.id);
      for (let time = 0; time < times; time++) listener(event as ChannelEvent);
    });
  }

  /** Tells the app something of itself, behind all that was told before. */
  tellApp(heard: () => void): void {
    const { listener } = this;
    const { nowMs } = this.clock;
    this.#lastEventMs = Math.max(this.#lastEventMs, nowMs + this.upTo(this.weather.eventMaxMs));
    this.clock.after(this.#lastEventMs - nowMs, () => {
      if (listener !== undefined && this.listener === listener) heard();
    });
  }

  /** Whether a channel is there, and is not on its way out. */
  isUp(channel: ModelChannel): boolean {
    return this.channels.get(channel.id) === channel && !channel.isLeaving;
  }

  enterApp(channel: ModelChannel, args: readonly string[]): void {
    if (!this.isUp(channel)) return;
    this.entries.set(channel.id, (this.entries.get(channel.id) ?? 0) + 1);
    channel.place = 'app';
    channel.args = args;
    this.tell(channel, { type: 'StasisStart', channel: this.show(channel), args });
  }

  leaveApp(channel: ModelChannel, place: 'dialplan' | 'none'): void {
    if (channel.place !== 'app') return;
    for (const members of this.bridges.values()) members.delete(channel.id);
    this.tell(channel, { type: 'StasisEnd', channel: this.show(channel) });
    channel.place = place;
  }

  setState(channel: ModelChannel, state: ModelChannel['state']): void {
    if (!this.isUp(channel) || channel.state === state) return;
    channel.state = state;
    this.tell(channel, { type: 'ChannelStateChange', channel: this.show(channel) });
  }

  /** A channel ends, some ms later, as Asterisk does it. */
  end(id: string, cause: number): void {
    const channel = this.channels.get(id);
    if (channel === undefined || channel.isLeaving) return;
    channel.isLeaving = true;
    this.clock.after(this.upTo(20), () => {
      if (this.channels.get(id) !== channel) return;
      const subscribed = channel.place === 'app' || channel.subscribed;
      this.leaveApp(channel, 'none');
      this.channels.delete(id);
      this.tell(
        { ...channel, subscribed },
        {
          type: 'ChannelDestroyed',
          channel: this.show(channel),
          cause,
          cause_txt: '',
        },
      );
    });
  }

  /** The far end hangs up, or refuses. */
  farEndHangsUp(id: string, cause = 16): void {
    const channel = this.channels.get(id);
    if (channel === undefined || channel.isLeaving) return;
    this.ownEnds.add(id);
    if (channel.state === 'Up')
      this.tell(channel, { type: 'ChannelHangupRequest', channel: this.show(channel), cause, soft: false });
    this.end(id, cause);
  }

  /** Asterisk calls a far end: it rings, and answers, refuses or does neither. */
  dialFarEnd(channel: ModelChannel, limitMs: number): void {
    const { id } = channel;
    const about = (dialstatus: string) => ({
      type: 'Dial',
      peer: this.show(channel),
      dialstatus,
      dialstring: '+4930333333@carrier',
    });
    this.tell(channel, about(''));
    this.clock.after(this.upTo(300), () => {
      if (!this.isUp(channel) || channel.state !== 'Down') return;
      this.setState(channel, 'Ringing');
      this.tell(channel, about('RINGING'));
    });
    const ms = 300 + this.upTo(8_000);
    const choice = this.random();
    if (choice < 0.2) return void this.clock.after(ms, () => this.farEndHangsUp(id, 17));
    if (choice < 0.3) return void this.clock.after(limitMs, () => this.farEndHangsUp(id, 19));
    this.clock.after(ms, () => this.answered(channel, about('ANSWER')));
  }

  answered(channel: ModelChannel, dial: object): void {
    if (!this.isUp(channel) || channel.state === 'Up') return;
    this.setState(channel, 'Up');
    this.tell(channel, dial);
    // Somebody's originate enters our app when it is answered.
    if (channel.place === 'none') this.enterApp(channel, []);
  }

  /** Asterisk dies, and starts anew with nothing. */
  startAnew(): void {
    for (const id of this.channels.keys()) this.ownEnds.add(id);
    this.channels.clear();
    this.bridges.clear();
    this.#starts += 1;
    this.startedAt = `start ${this.#starts}`;
  }
}
