import type { AriClient } from '../ari/client.ts';
import { AriError } from '../ari/requests.ts';
import { withinLimit } from '../async/time-limit.ts';
import { asteriskFormat } from '../media/line.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession, MediaSettings } from '../media/session.ts';
import { CAUSE } from '../q850/causes.ts';
import { type OwnKind, ownId } from './asterisk-ids.ts';

/**
 * Parts of the ids of a call's objects in Asterisk: the process, the number of its call, and the
 * caller's channel.
 */
export interface ObjectIdParts {
  readonly instance: string;
  readonly number: number;
  readonly callerId: string;
}

/** ARI's statuses for a channel that is gone, has left Stasis, or is not in the bridge. */
const NOT_IN_BRIDGE: ReadonlySet<number> = new Set([400, 409, 422]);

const orphaned = () => new MediaError('worker-died', 'the media that the channel leads to is gone');
const isLate = () => new Error('the media channel did not enter Stasis in time');

/**
 * A call's objects in Asterisk besides the caller: a mixing bridge, and the media channel to us.
 */
export class MediaPath {
  readonly bridgeId: string;
  #mediaChannelId: string;
  readonly #ids: ObjectIdParts;
  readonly #ari: AriClient;
  readonly #settings: MediaSettings;
  #entered = Promise.withResolvers<void>();
  #hasEntered = false;
  /** How often the media worker behind the media channel has died. */
  #deaths = 0;
  #bridge = Promise.resolve();
  /** The latest media channel's creation and joining of the bridge. */
  #laying = Promise.resolve();
  /** The latest media channel's joining of the bridge. */
  #joining = Promise.resolve();
  /** The media channel is in Stasis, and leads to live media. */
  #canJoin = false;
  /** A second leg is in the bridge instead of the media channel. */
  #isOut = false;
  /** The media channel was removed for good. */
  #isRemoved = false;
  #mark: (step: string) => void = () => {};
  /** Number of media channels created after the first one. */
  #renewals = 0;

  constructor(ids: ObjectIdParts, settings: MediaSettings, ari: AriClient) {
    this.#ids = ids;
    this.bridgeId = this.#id('pcb', `${ids.number}`);
    this.#mediaChannelId = this.#id('pcm', `${ids.number}`);
    this.#settings = settings;
    this.#ari = ari;
  }

  /** The current media channel. */
  get mediaChannelId(): string {
    return this.#mediaChannelId;
  }

  /** The id of the second leg of the call's nth transfer. */
  legId(transfer: number): string {
    return this.#id('pct', `${this.#ids.number}.${transfer}`);
  }

  /** Name of the call's nth transfer in the dialplan: hexadecimal digits, points and hyphens. */
  transferToken(transfer: number): string {
    return `${this.#ids.instance}-${this.#ids.number}.${transfer}`;
  }

  /** ARI: the media channel is in Stasis and can be added to the bridge. */
  mediaEntered(): void {
    this.#hasEntered = true;
    this.#entered.resolve();
  }

  /**
   * Whether the current media channel has entered Stasis. Events of its id before that belong to a
   * channel of a previous process.
   */
  get hasEntered(): boolean {
    return this.#hasEntered;
  }

  /**
   * Creates the bridge and the media channel in parallel, and joins them. First pushes their
   * removal to `release`. `limitMs` is the time for the media channel to enter Stasis.
   */
  async build(
    media: MediaSession,
    limitMs: number,
    mark: (step: string) => void,
    release: (() => Promise<unknown>)[],
  ): Promise<void> {
    this.#mark = mark;
    this.#bridge = this.#ari.createBridge(this.bridgeId).then(() => mark('bridge'));
    // The removal waits for the creation: otherwise the bridge could be created after it.
    release.push(() => this.#bridge.catch(() => {}).then(() => this.#ari.destroyBridge(this.bridgeId)));
    this.#laying = this.#lay(media, limitMs, this.#deaths);
    release.push(() => this.removeMedia());
    await this.#laying;
  }

  /** Takes over the bridge of a previous process, without media. Hangs up its media channel. */
  async takeOver(release: (() => Promise<unknown>)[]): Promise<void> {
    release.push(() => this.#ari.destroyBridge(this.bridgeId));
    await this.removeMedia();
  }

  /**
   * Adds the media channel to the bridge: the bot hears and speaks to everyone in it. One that is
   * being created joins as soon as it can.
   */
  async joinMedia(): Promise<void> {
    this.#isOut = false;
    if (this.#canJoin) await this.#join();
  }

  /**
   * Takes the media channel out of the bridge until {@link joinMedia}. One that replaces it
   * meanwhile does not join.
   */
  async takeOutMedia(): Promise<void> {
    this.#isOut = true;
    if (!this.#canJoin) return;
    const { mediaChannelId } = this;
    // Asterisk may handle two requests in either order.
    await this.#joining.catch(() => {});
    try {
      await this.#ari.removeFromBridge(this.bridgeId, mediaChannelId);
    } catch (error) {
      if (!(error instanceof AriError && NOT_IN_BRIDGE.has(error.status))) throw error;
    }
  }

  async #join(): Promise<void> {
    this.#joining = this.#ari.addToBridge(this.bridgeId, this.mediaChannelId);
    await this.#joining;
  }

  /**
   * Creates a new media channel for reopened media, after {@link mediaDied}. It replaces the old
   * one in the bridge.
   */
  renew(media: MediaSession, limitMs: number): Promise<void> {
    // A former attempt may still wait for Asterisk, and would connect the media to its own channel.
    const former = this.#laying.catch(() => {});
    const deaths = this.#deaths;
    this.#laying = former.then(() => this.#renew(media, limitMs, deaths));
    return this.#laying;
  }

  async #renew(media: MediaSession, limitMs: number, deaths: number): Promise<void> {
    if (deaths !== this.#deaths || this.#isRemoved) throw orphaned();
    // Not awaited: the new channel has another id.
    this.#ari.hangUp(this.#mediaChannelId, CAUSE.normalClearing).catch(() => {});
    this.#renewals += 1;
    this.#mediaChannelId = this.#id('pcm', `${this.#ids.number}.${this.#renewals}`);
    this.#entered = Promise.withResolvers<void>();
    this.#hasEntered = false;
    await this.#lay(media, limitMs, deaths);
  }

  /** `deaths`: their number when this was requested. */
  async #lay(media: MediaSession, limitMs: number, deaths: number): Promise<void> {
    await Promise.all([this.#bridge, this.#createMediaChannel(media, deaths)]);
    await withinLimit(this.#entered.promise, limitMs, isLate);
    this.#mark('mediaChannel');
    this.#canJoin = deaths === this.#deaths;
    if (!this.#isOut) await this.#join();
  }

  /** The media worker behind the channel has died: a creation or joining in progress fails. */
  mediaDied(): void {
    this.#deaths += 1;
    this.#canJoin = false;
    this.#entered.promise.catch(() => {});
    this.#entered.reject(orphaned());
  }

  /** Hangs up the media channel. No other one is created any more. */
  async removeMedia(): Promise<void> {
    this.#isRemoved = true;
    this.mediaDied();
    await this.#laying.catch(() => {});
    await this.#ari.hangUp(this.mediaChannelId, CAUSE.normalClearing);
  }

  #id(kind: OwnKind, number: string): string {
    const { instance, callerId } = this.#ids;
    return ownId({ kind, instance, number, callerId });
  }

  async #createMediaChannel(media: MediaSession, deaths: number): Promise<void> {
    const { transport, address, line } = this.#settings;
    const format = asteriskFormat(line);
    if (transport === 'rtp') {
      const host = `${address}:${media.rtpPort}`;
      const peer = await this.#ari.createExternalMedia(this.mediaChannelId, host, format);
      if (deaths !== this.#deaths) throw orphaned();
      await media.connectRtp(peer.address, peer.port);
    } else {
      const url = await this.#ari.createMediaSocket(this.mediaChannelId, format);
      if (deaths !== this.#deaths) throw orphaned();
      await media.connectSocket(url, this.#ari.authorization);
    }
  }
}
