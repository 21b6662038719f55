import type { AriClient } from './ari/client.ts';
import { asteriskFormat } from './media/line.ts';
import type { MediaSession, MediaSettings } from './media/session.ts';
import { withinLimit } from './time-limit.ts';

/** The ids of what we make in Asterisk for a channel: chosen by us, so that events and leftovers are recognised. */
export const BRIDGE_ID_PREFIX = 'pcb-';
export const MEDIA_ID_PREFIX = 'pcm-';
/**
 * Ends the id of a channel of ours. Asterisk 22.10 refuses a new channel whose id is the beginning of another's
 * ("Channel Unique ID … already in use"): without it the media of call 7.1 could not be made while those of call 7.10 are there.
 */
export const CHANNEL_ID_END = '~';

/** The media channel's id, by that of the caller's channel. */
export function mediaChannelId(callerId: string): string {
  return `${MEDIA_ID_PREFIX}${callerId}${CHANNEL_ID_END}`;
}

/** What a call has in Asterisk besides the caller: a mixing bridge, and in it the media channel that leads to us. */
export class MediaPath {
  readonly bridgeId: string;
  readonly mediaChannelId: string;
  readonly #ari: AriClient;
  readonly #settings: MediaSettings;
  readonly #entered = Promise.withResolvers<void>();
  #hasEntered = false;

  constructor(callerId: string, settings: MediaSettings, ari: AriClient) {
    this.bridgeId = `${BRIDGE_ID_PREFIX}${callerId}`;
    this.mediaChannelId = mediaChannelId(callerId);
    this.#settings = settings;
    this.#ari = ari;
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
    const bridge = this.#ari.createBridge(this.bridgeId).then(() => mark('bridge'));
    // What is under way is waited for before it is undone, or it would come to be after its removal.
    release.push(() => bridge.catch(() => {}).then(() => this.#ari.destroyBridge(this.bridgeId)));
    const channel = this.#createMediaChannel(media);
    release.push(() => channel.catch(() => {}).then(() => this.removeMedia()));
    await Promise.all([bridge, channel]);
    const late = () => new Error('the media channel did not enter Stasis in time');
    await withinLimit(this.#entered.promise, limitMs, late);
    mark('mediaChannel');
    await this.joinMedia();
  }

  /** Puts the media channel into the bridge: whoever else is in it talks to the bot. */
  async joinMedia(): Promise<void> {
    await this.#ari.addToBridge(this.bridgeId, this.mediaChannelId);
  }

  /** Hangs the media channel up. */
  async removeMedia(): Promise<void> {
    await this.#ari.hangUp(this.mediaChannelId, 16);
  }

  async #createMediaChannel(media: MediaSession): Promise<void> {
    const { transport, address, line } = this.#settings;
    const format = asteriskFormat(line);
    if (transport === 'rtp') {
      const host = `${address}:${media.rtpPort}`;
      const peer = await this.#ari.createExternalMedia(this.mediaChannelId, host, format);
      await media.connectRtp(peer.address, peer.port);
    } else {
      const url = await this.#ari.createMediaSocket(this.mediaChannelId, format);
      await media.connectSocket(url, this.#ari.authorization);
    }
  }
}
