import type { WebSocket } from 'ws';
import { type AriRequest, NO_CONTENT, type Reply, refused } from './fake-ari-request.ts';
import type { FakeChannel } from './fake-channel.ts';

/** The app that the dialplan and other clients of ARI name. */
export const MAIN_APP = 'pipecat';

/** Whether an events socket may be opened for this app: the main one, or a bridge's own. */
export function isAppName(name: string): boolean {
  return name === MAIN_APP || name.startsWith(`${MAIN_APP}-`);
}

/** An event's fields: which channel it is about, if any. */
export interface EventFields {
  /** An event about no channel: which app gets it. */
  readonly application?: string;
  readonly channel?: object;
  readonly peer?: object;
  readonly [field: string]: unknown;
}

interface App {
  socket: WebSocket | undefined;
  /** Asterisk hangs up a channel that enters an app that is not. */
  isActive: boolean;
  filter: readonly string[] | undefined;
}

/** The fake Asterisk's Stasis apps: who has the socket of each, and which channels are whose. */
export class FakeApps {
  readonly #apps = new Map<string, App>();
  /** The app that each channel entered first, and is in. */
  readonly #first = new Map<string, string>();
  readonly #current = new Map<string, string>();
  /** Apps that have asked for a channel's events besides. */
  readonly #listeners = new Map<string, Set<string>>();

  socketOf(app: string): WebSocket | undefined {
    return this.#apps.get(app)?.socket;
  }

  /** An app is there as soon as somebody has opened a socket for it. */
  open(app: string): void {
    if (!this.#apps.has(app)) this.#apps.set(app, { socket: undefined, isActive: false, filter: undefined });
  }

  isOpen(app: string): boolean {
    return this.#apps.has(app);
  }

  get names(): string[] {
    return [...this.#apps.keys()];
  }

  activate(app: string, socket: WebSocket): void {
    this.open(app);
    Object.assign(this.#apps.get(app) as App, { socket, isActive: true });
  }

  /** Its events socket is closed. */
  deactivate(app: string): void {
    this.deafen(app);
    const known = this.#apps.get(app);
    if (known !== undefined) known.isActive = false;
  }

  isActive(app: string): boolean {
    return this.#apps.get(app)?.isActive ?? false;
  }

  /** The app stays, its events go nowhere. */
  deafen(app: string): void {
    const known = this.#apps.get(app);
    if (known !== undefined) known.socket = undefined;
  }

  forget(app: string): void {
    this.#apps.delete(app);
  }

  filter(app: string, types: readonly string[]): void {
    const known = this.#apps.get(app);
    if (known !== undefined) known.filter = types;
  }

  firstOf(channelId: string): string {
    return this.#first.get(channelId) ?? MAIN_APP;
  }

  /** A channel belongs to an app from now on. */
  move(channelId: string, app: string): void {
    if (!this.#first.has(channelId)) this.#first.set(channelId, app);
    this.#current.set(channelId, app);
  }

  appOf(channelId: string): string {
    return this.#current.get(channelId) ?? MAIN_APP;
  }

  listen(channelId: string, app: string, isWanted: boolean): void {
    const listeners = this.#listeners.get(channelId) ?? new Set();
    if (isWanted) listeners.add(app);
    else listeners.delete(app);
    this.#listeners.set(channelId, listeners);
  }

  /** Whether an app has a channel's events. */
  has(app: string, channelId: string): boolean {
    return this.appOf(channelId) === app || this.#listeners.get(channelId)?.has(app) === true;
  }

  /** The apps that an event goes to. StasisStart and StasisEnd are for the channel's app alone. */
  of(type: string, { application, channel, peer }: EventFields): string[] {
    if (application !== undefined) return [application];
    const { id } = (channel ?? peer ?? {}) as { id?: string };
    if (id === undefined) return [MAIN_APP];
    if (type === 'StasisStart' || type === 'StasisEnd') return [this.appOf(id)];
    return [...new Set([this.appOf(id), ...(this.#listeners.get(id) ?? [])])];
  }

  /** Sends an event to an app. */
  tell(app: string, type: string, fields: object): void {
    const { socket, filter } = this.#apps.get(app) ?? {};
    if (filter !== undefined && !filter.includes(type)) return;
    const timestamp = '2026-11-22T10:00:00.000+0000';
    socket?.send(JSON.stringify({ type, application: app, timestamp, ...fields }));
  }
}

/** Carries out a request on an app. An app exists as soon as somebody has connected to it. */
export function onApplications(
  ari: { readonly channels: ReadonlyMap<string, FakeChannel>; readonly apps: FakeApps },
  { method, query, body }: AriRequest,
  app: string,
  action: string,
): Reply {
  const show = (name: string) => {
    const isHeld = ({ id, inStasis, subscribed }: FakeChannel) =>
      (inStasis || subscribed) && ari.apps.has(name, id);
    const held = [...ari.channels.values()].filter(isHeld);
    return { name, channel_ids: held.map(({ id }) => id), bridge_ids: [] };
  };
  if (app === '') return { status: 200, body: ari.apps.names.map(show) };
  if (!ari.apps.isOpen(app)) return refused(404, 'Application does not exist');
  if (action === 'eventFilter') {
    const { allowed } = body as { allowed: { type?: string }[] };
    if (allowed.some(({ type }) => type === undefined)) return refused(400, 'Bad type');
    ari.apps.filter(app, [...allowed.map(({ type }) => type ?? ''), 'ApplicationReplaced']);
  }
  if (action === 'subscription') {
    const channel = ari.channels.get((query.get('eventSource') ?? '').replace('channel:', ''));
    if (channel === undefined) return refused(422, 'Event source does not exist');
    if (method === 'POST') channel.subscribed = true;
    ari.apps.listen(channel.id, app, method === 'POST');
    if (method === 'DELETE') return NO_CONTENT;
  }
  return { status: 200, body: show(app) };
}
