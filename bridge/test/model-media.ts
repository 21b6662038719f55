import { MediaError } from '../src/media/media-error.ts';
import type { MediaPool } from '../src/media/pool.ts';
import type { MediaEvent, MediaSession, MediaSettings } from '../src/media/session.ts';
import type { AsteriskModel } from './asterisk-model.ts';

/** The media of a call of the model: no audio, and a bot that does what it is told to do. */
export class ModelMedia {
  readonly channelId: string;
  readonly tell: (event: MediaEvent) => void;
  isOpen = true;

  constructor(channelId: string, tell: (event: MediaEvent) => void) {
    this.channelId = channelId;
    this.tell = (event) => {
      if (this.isOpen) tell(event);
    };
  }
}

/** Stands in for the media workers. */
export class ModelPool {
  readonly #model: AsteriskModel;
  readonly #refuses: (channelId: string) => boolean;
  readonly open = new Set<ModelMedia>();

  /** `refuses`: whether the bot of a call is not to be reached. */
  constructor(model: AsteriskModel, refuses: (channelId: string) => boolean) {
    this.#model = model;
    this.#refuses = refuses;
  }

  /** As the bridge knows it. */
  get pool(): MediaPool {
    const pool = { open: (...call: Parameters<MediaPool['open']>) => this.#open(...call) };
    return pool as unknown as MediaPool;
  }

  /** Resolves after a random delay of up to `maxMs`. */
  #later(maxMs: number): Promise<void> {
    const { clock } = this.#model;
    return new Promise((resolve) => clock.after(this.#model.upTo(maxMs), resolve));
  }

  async #open({ start }: MediaSettings, tell: (event: MediaEvent) => void): Promise<MediaSession> {
    await this.#later(3);
    const media = new ModelMedia(start.channelId, tell);
    this.open.add(media);
    const nothing = () => {};
    const connectBot = async () => {
      await this.#later(300);
      if (this.#refuses(media.channelId)) throw new MediaError('bot-unreachable', 'refused');
      media.tell({ type: 'bot-open', reconnected: false, connectionId: media.channelId });
    };
    return {
      rtpPort: 4_000,
      hasBot: true,
      relays: false,
      connectBot,
      reopen: () => this.#later(3),
      abandon: nothing,
      connectRtp: () => this.#later(3),
      connectSocket: () => this.#later(3),
      botSettled: () => this.#later(10),
      drain: () => this.#later(500),
      playedOut: () => this.#later(500),
      startRelay: nothing,
      tellBot: nothing,
      dismissBot: nothing,
      expectAudio: nothing,
      lineLives: nothing,
      hangUp: () => media.tell({ type: 'bot-hangup', immediate: false, queuedMs: 0 }),
      record: () => Promise.resolve('off'),
      figures: () => Promise.reject(new Error('none')),
      close: async () => {
        media.isOpen = false;
        this.open.delete(media);
        await this.#later(3);
      },
    };
  }
}
