import type { AudioFormat } from '../audio/format.ts';
import type { PlayoutStats } from '../audio/playout-stats.ts';
import type { Transport } from '../config/media-settings.ts';
import type { BudgetLimits } from '../pipecat/budget.ts';
import type {
  BadCode,
  BridgeMessage,
  DialectName,
  RecordingRequest,
  StartFields,
  TransferRequest,
} from '../pipecat/dialect.ts';
import type { RecordingFigures, RecordingSettings, RecordingState } from '../recording/recorder.ts';
import type { BotLinkSettings } from './bot-link.ts';
import type { TransportFigures } from './line-transport.ts';

/** Settings of one call's media. Plain data: it crosses to a worker thread. */
export interface MediaSettings {
  /**
   * Transport to Asterisk: RTP (chan_rtp), or Asterisk's WebSocket (chan_websocket), which also
   * carries wideband.
   */
  readonly transport: Transport;
  /** Local address for RTP. */
  readonly address: string;
  /** Audio format towards Asterisk. */
  readonly line: AudioFormat;
  /** The bot's wire format. */
  readonly dialect: DialectName;
  /**
   * Fields of `start`. Encoding and rate are those of the audio sent to the bot, and of its own
   * audio unless it says otherwise.
   */
  readonly start: StartFields;
  /** The bot is connected while the callee's phone rings, and gets `start` on answer. */
  readonly startOnAnswer: boolean;
  /** The call had a bot before: every `start` says so. */
  readonly isResumed?: boolean;
  /** A bot has already done something for the caller, so one that leaves now is not absent. */
  readonly botHasActed?: boolean;
  readonly bot: BotLinkSettings;
  /**
   * How long the first audio of an utterance waits, ms. `adaptive`: found from the bot's cadence.
   */
  readonly prebufferMs: number | 'adaptive';
  readonly queueMs: number;
  /** Trailing silence that is played at the end of a call, ms. More is cut. */
  readonly trailingSilenceMs: number;
  /** What replaces lost packets for the bot. */
  readonly concealment: 'repeat' | 'silence';
  /**
   * How long the playout pauses when the caller speaks, unless the bot decides earlier, ms; 0:
   * barge-in help is off.
   */
  readonly bargeInHoldMs: number;
  readonly maxBadMessages: number;
  /** Time without messages after a long silence after which the bot has hung up, ms; 0: never. */
  readonly endSilenceMs: number;
  /** Time after `start` in which the bot may refuse the call before it is answered, ms. */
  readonly refusalMs: number;
  /** Time after `start` in which the bot should be heard, ms. */
  readonly firstAudioMs: number;
  /** Whether a bot that is not heard by then has failed. */
  readonly speaksFirst: boolean;
  /**
   * What the caller hears while a lost bot is reconnected, pcm16 at 8000 Hz, in memory that threads
   * share. Undefined: a tone.
   */
  readonly comfortMusic: Uint8Array | undefined;
  /** Limits of what the bot may send. */
  readonly budget: BudgetLimits;
  /** Undefined: the call is not recorded. */
  readonly recording: RecordingSettings | undefined;
  /** Without audio from Asterisk for this time the media is dead, ms; 0: no limit. */
  readonly mediaTimeoutMs: number;
  /** Without sound of caller or bot for this time the call is abandoned, ms; 0: no limit. */
  readonly silenceLimitMs: number;
}

/** How a bot left, see `bot-gone`. */
export type BotGone = 'closed' | 'silent' | 'absent' | 'lost';

/** Events for the call. Plain data. */
export type MediaEvent =
  | { readonly type: 'first-caller-audio' }
  | { readonly type: 'first-bot-audio' }
  /**
   * The bot's socket is open. `reconnected`: after a loss. `connectionId`: unique among all
   * connections of all calls.
   */
  | { readonly type: 'bot-open'; readonly reconnected: boolean; readonly connectionId: string }
  /** The bot's connection is over, and the next one is sought. */
  | { readonly type: 'bot-seeking'; readonly detail: string }
  /** For the pool only. The bot is to be tried again: `mayTry` is the answer. */
  | { readonly type: 'bot-ask' }
  /** For the pool only. A try failed. `isRefusal`: the bot does not want this call. */
  | { readonly type: 'bot-failed'; readonly detail: string; readonly isRefusal: boolean }
  /** The connected bot was not heard in time. `isOwed`: it should have spoken first. */
  | { readonly type: 'bot-silent'; readonly detail: string; readonly isOwed: boolean }
  /**
   * The bot is gone. `closed`: cleanly. `silent`: it sent a long silence, then nothing. `absent`:
   * the same, but it had done nothing for the caller. `lost`: its connection failed. `queuedMs`:
   * its audio not yet played.
   */
  | {
      readonly type: 'bot-gone';
      readonly how: BotGone;
      readonly detail: string;
      readonly queuedMs: number;
    }
  | { readonly type: 'bot-hangup'; readonly immediate: boolean; readonly queuedMs: number }
  | { readonly type: 'bot-dtmf'; readonly digits: string }
  /**
   * Every change of the recording's state. `file` is its name. It exists once a state other than
   * `failed` was reported.
   */
  | {
      readonly type: 'recording';
      readonly state: RecordingState;
      readonly file: string;
      /** Whether recording is paused, whatever the state. */
      readonly isPaused: boolean;
      readonly detail: string | undefined;
    }
  | { readonly type: 'bot-transfer'; readonly request: TransferRequest }
  /** A message of the bot was refused: the first one with this code in the call. */
  | { readonly type: 'bot-refused'; readonly code: BadCode; readonly detail: string }
  /**
   * `line-quiet`: no audio arrives. `media-timeout` follows if that lasts, and is final unless
   * `lineLives` is called.
   */
  | { readonly type: 'line-quiet' | 'media-timeout' | 'silence' }
  /**
   * The bot broke the rules and its socket is being closed. `detail`: the close code and the
   * reason. Sent once.
   */
  | { readonly type: 'bot-misbehaved'; readonly detail: string }
  /** The worker died, or the media was abandoned. `reopen` gives the call other media. */
  | { readonly type: 'worker-died'; readonly detail: string }
  /** For `RemoteMedia` only. Asterisk closed its media socket. */
  | { readonly type: 'lost'; readonly detail: string };

/** Counters of a call's media. */
export interface MediaFigures {
  readonly line: TransportFigures;
  readonly playout: PlayoutStats;
  readonly recording: RecordingFigures | undefined;
  /** 20 ms frames not sent to the caller because the bridge was late. */
  readonly skippedFrames: number;
  readonly droppedMessages: number;
  /**
   * Times that the bot's socket was not read because the bot was over its budget, and for how long,
   * ms.
   */
  readonly botPauses: number;
  readonly botPausedMs: number;
  /** Refused messages of the bot, by code. */
  readonly refusedMessages: Readonly<Record<string, number>>;
}

/**
 * One call's media: the relay itself, or a proxy to a worker. Errors are those of the methods of
 * `Relay`.
 */
export interface MediaSession {
  /** Local UDP port, to which Asterisk sends; 0 if the transport is not RTP. */
  readonly rtpPort: number;
  /** Whether a bot's socket is open. */
  readonly hasBot: boolean;
  /** Whether `startRelay` was called. */
  readonly relays: boolean;
  /**
   * After `worker-died`: opens the media anew, in any worker. Connect it again, and start the relay
   * if it ran. Rejects with a `MediaError`.
   */
  reopen(): Promise<void>;
  /** Closes the media, because its line leads nowhere, and sends `worker-died`. */
  abandon(detail: string): void;
  connectRtp(address: string, port: number): Promise<void>;
  connectSocket(url: string, authorization: string): Promise<void>;
  connectBot(): Promise<void>;
  botSettled(): Promise<void>;
  startRelay(): void;
  tellBot(message: BridgeMessage): void;
  dismissBot(message: BridgeMessage): void;
  hangUp(): void;
  /**
   * Pauses or resumes the recording. Resolves with its state, `off` if the call is not recorded.
   */
  record(state: RecordingRequest): Promise<RecordingState | 'off'>;
  drain(): Promise<void>;
  playedOut(): Promise<void>;
  expectAudio(isExpected: boolean): void;
  /** The caller is present although no audio arrives: the time limit starts again. */
  lineLives(): void;
  figures(): Promise<MediaFigures>;
  close(): Promise<void>;
}
