import type { AriClient } from '../ari/client.ts';
import { withinLimit } from '../async/time-limit.ts';
import { asteriskFormat } from '../media/line.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession, MediaSettings } from '../media/session.ts';
import { CAUSE } from '../q850/causes.ts';
import { type OwnKind, ownId } from './asterisk-ids.ts';

/** What the ids of a call's things in Asterisk are made of: the process, its nth call, and the caller's channel. */
export interface CallIds {
  readonly instance: string;
  readonly number: number;
  readonly callerId: string;
}

const orphaned = () => new MediaError('worker-died', 'the media that the channel leads to is gone');
const isLate = () => new Error('the media channel did not enter Stasis in time');

/** What a call has in Asterisk besides the caller: a mixing bridge, and in it the media channel that leads to us. */
export class MediaPath {
  readonly bridgeId: string;
  #mediaChannelId: string;
  readonly #ids: CallIds;
  readonly #ari: AriClient;
  readonly #settings: MediaSettings;
  #entered = Promise.withResolvers<void>();
  #hasEntered = false;
  /** How often the media that a channel was made for was gone. */
  #deaths = 0;
  #bridge = Promise.resolve();
  /** The latest media channel's way into the bridge. */
  #laying = Promise.resolve();
  #mark: (step: string) => void = () => {};
  /** Media channels that were made anew. */
  #renewals = 0;

  constructor(ids: CallIds, settings: MediaSettings, ari: AriClient) {
    this.#ids = ids;
    this.bridgeId = this.#id('pcb', `${ids.number}`);
    this.#mediaChannelId = this.#id('pcm', `${ids.number}`);
    this.#settings = settings;
    this.#ari = ari;
  }

  /** The media channel of now. */
  get mediaChannelId(): string {
    return this.#mediaChannelId;
  }

  /** The id of the second leg of the call's nth transfer. */
  legId(transfer: number): string {
    return this.#id('pct', `${this.#ids.number}.${transfer}`);
  }

  /** Names the call's nth transfer, to the dialplan: hexadecimal digits, points and hyphens. */
  transferToken(transfer: number): string {
    return `${this.#ids.instance}-${this.#ids.number}.${transfer}`;
  }

  /** ARI: the media channel is in Stasis, and can be put into the bridge. */
  mediaEntered(): void {
    this.#hasEntered = true;
    this.#entered.resolve();
  }

  /** Whether an event of a media channel can be of ours: before it enters Stasis, it is of one that a former process left by that name. */
  get hasEntered(): boolean {
    return this.#hasEntered;
  }

  /**
   * Makes both and joins them. They are asked for at once: neither needs the other. Their removal is pushed to `release` before.
   * `limitMs` is for the media channel to enter Stasis.
   */
  async build(
    media: MediaSession,
    limitMs: number,
    mark: (step: string) => void,
    release: (() => Promise<unknown>)[],
  ): Promise<void> {
    this.#mark = mark;
    this.#bridge = this.#ari.createBridge(this.bridgeId).then(() => mark('bridge'));
    // What is under way is waited for before it is undone, or it would come to be after its removal.
    release.push(() => this.#bridge.catch(() => {}).then(() => this.#ari.destroyBridge(this.bridgeId)));
    this.#laying = this.#lay(media, limitMs, this.#deaths);
    release.push(() => this.removeMedia());
    await this.#laying;
  }

  /** Goes on with what a process before has built, without media: a media channel that is left of it is hung up. */
  async takeOver(release: (() => Promise<unknown>)[]): Promise<void> {
    release.push(() => this.#ari.destroyBridge(this.bridgeId));
    await this.removeMedia();
  }

  /** Puts the media channel into the bridge: whoever else is in it talks to the bot. */
  async joinMedia(): Promise<void> {
    await this.#ari.addToBridge(this.bridgeId, this.mediaChannelId);
  }

  /**
   * Makes the media channel anew, for media that was opened anew, and puts it into the bridge in place of the old one, after
   * {@link mediaDied}.
   */
  renew(media: MediaSession, limitMs: number): Promise<void> {
    // A former one may still wait for Asterisk, and would point the media at its own channel.
    const former = this.#laying.catch(() => {});
    const deaths = this.#deaths;
    this.#laying = former.then(() => this.#renew(media, limitMs, deaths));
    return this.#laying;
  }

  async #renew(media: MediaSession, limitMs: number, deaths: number): Promise<void> {
    if (deaths !== this.#deaths) throw orphaned();
    // Nothing waits for its removal: it has another id.
    this.#ari.hangUp(this.#mediaChannelId, CAUSE.normalClearing).catch(() => {});
    this.#renewals += 1;
    this.#mediaChannelId = this.#id('pcm', `${this.#ids.number}.${this.#renewals}`);
    this.#entered = Promise.withResolvers<void>();
    this.#hasEntered = false;
    await this.#lay(media, limitMs, deaths);
  }

  /** `deaths`: as many as there were when it was asked for. */
  async #lay(media: MediaSession, limitMs: number, deaths: number): Promise<void> {
    await Promise.all([this.#bridge, this.#createMediaChannel(media, deaths)]);
    await withinLimit(this.#entered.promise, limitMs, isLate);
    this.#mark('mediaChannel');
    await this.joinMedia();
  }

  /** The media that the channel leads to is no more: its way into the bridge, if it is still under way, fails. */
  mediaDied(): void {
    this.#deaths += 1;
    this.#entered.promise.catch(() => {});
    this.#entered.reject(orphaned());
  }

  /** Hangs the media channel up. */
  async removeMedia(): Promise<void> {
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
