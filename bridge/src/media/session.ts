import type { AudioFormat } from '../audio/format.ts';
import type { PlayoutStats } from '../audio/playout-queue.ts';
import type { BudgetLimits } from '../pipecat/budget.ts';
import type {
  BadCode,
  BridgeMessage,
  DialectName,
  StartFields,
  TransferRequest,
} from '../pipecat/dialect.ts';
import type { RecordingFigures, RecordingSettings, RecordingState } from '../recording/recorder.ts';
import type { BotLinkSettings } from './bot-link.ts';
import type { TransportFigures } from './line-transport.ts';

/** What one call's media needs to know. Plain data: it crosses to a worker thread. */
export interface MediaSettings {
  /** How audio crosses to Asterisk: RTP (chan_rtp), or Asterisk's own WebSocket (chan_websocket), which takes wideband. */
  readonly transport: 'rtp' | 'websocket';
  /** Our own address for RTP. */
  readonly address: string;
  /** Format towards Asterisk. */
  readonly line: AudioFormat;
  /** The bot's wire format. */
  readonly dialect: DialectName;
  /** What the bot is told in `start`; encoding and rate are what it is sent, and what it sends unless it says otherwise. */
  readonly start: StartFields;
  /** The bot is connected while the callee's phone rings, and has its `start` on answer. */
  readonly startOnAnswer: boolean;
  /** The call was with a bot before: every `start` says so. */
  readonly isResumed?: boolean;
  /** The caller has had something of a bot before: one that leaves now was there. */
  readonly botHasActed?: boolean;
  readonly bot: BotLinkSettings;
  /** How long an utterance waits for more before it is played, or found from the bot's cadence. */
  readonly prebufferMs: number | 'adaptive';
  readonly queueMs: number;
  /** Silence that is played at the end of the last words; more is cut. */
  readonly trailingSilenceMs: number;
  /** What the bot hears in place of lost packets. */
  readonly concealment: 'repeat' | 'silence';
  /** How long the playout is held when the caller speaks into it, unless the bot decides earlier; 0: barge-in help is off. */
  readonly bargeInHoldMs: number;
  readonly maxBadMessages: number;
  /** So long after a long message of silence, and then nothing, a bot has hung up; 0: never. */
  readonly endSilenceMs: number;
  /** So long after `start` a bot may hang up without the call having been answered. */
  readonly refusalMs: number;
  /** What the bot may send. */
  readonly budget: BudgetLimits;
  /** Undefined: the call is not recorded. */
  readonly recording: RecordingSettings | undefined;
  /** Without audio from Asterisk for so long the media is dead; 0: never. */
  readonly mediaTimeoutMs: number;
  /** Without a sound of caller or bot for so long nobody is there any more; 0: never. */
  readonly silenceLimitMs: number;
}

/** What the call is told. Plain data. */
export type MediaEvent =
  | { readonly type: 'first-caller-audio' }
  | { readonly type: 'first-bot-audio' }
  /** The bot's socket is open and `start` is sent; not the first one where it was lost before. */
  | { readonly type: 'bot-open'; readonly reconnected: boolean }
  | { readonly type: 'bot-seeking'; readonly detail: string }
  /** It closed cleanly or fell silent: `absent` where it had done nothing for the caller yet. Or it was lost. `queuedMs`: what is still to be heard of it. */
  | {
      readonly type: 'bot-gone';
      readonly how: 'closed' | 'silent' | 'absent' | 'lost';
      readonly detail: string;
      readonly queuedMs: number;
    }
  | { readonly type: 'bot-hangup'; readonly immediate: boolean; readonly queuedMs: number }
  | { readonly type: 'bot-dtmf'; readonly digits: string }
  /** Every change of the recording's state. `file`: its name; there is one once it was told anything but `failed`. */
  | {
      readonly type: 'recording';
      readonly state: RecordingState;
      readonly file: string;
      /** Whatever the state is: whether nothing is to be recorded now. */
      readonly isPaused: boolean;
      readonly detail: string | undefined;
    }
  | { readonly type: 'bot-transfer'; readonly request: TransferRequest }
  /** A message of the bot was refused: the first of its kind in this call. */
  | { readonly type: 'bot-refused'; readonly code: BadCode; readonly detail: string }
  /** `line-quiet`: no audio comes; where that lasts, `media-timeout` follows, for good unless `lineLives` is called. */
  | { readonly type: 'line-quiet' | 'media-timeout' | 'silence' }
  /** The bot does what none may: its socket is being closed, `detail` says with which code and why. Once. */
  | { readonly type: 'bot-misbehaved'; readonly detail: string }
  /** The worker died: `reopen` takes the call to another. */
  | { readonly type: 'worker-died'; readonly detail: string }
  /** The media is gone: Asterisk closed its socket. */
  | { readonly type: 'lost'; readonly detail: string };

/** What a call's media has counted. */
export interface MediaFigures {
  readonly line: TransportFigures;
  readonly playout: PlayoutStats;
  readonly recording: RecordingFigures | undefined;
  /** Frames of 20 ms that the caller was not sent, since the bridge had no time to. */
  readonly skippedFrames: number;
  readonly droppedMessages: number;
  /** Times that the bot's socket was not read because it had sent too much, and for how long, ms. */
  readonly botPauses: number;
  readonly botPausedMs: number;
  /** Messages of the bot that were refused, by what was wrong. */
  readonly refusedMessages: Readonly<Record<string, number>>;
}

/** One call's media, wherever it runs: the relay itself, or a worker's. Errors are what the methods of `Media` say. */
export interface MediaSession {
  /** Our UDP port, where Asterisk is to send; 0 where the transport is not RTP. */
  readonly rtpPort: number;
  /** Whether a bot's socket is open. */
  readonly hasBot: boolean;
  /** Whether `startRelay` was called. */
  readonly relays: boolean;
  /** After `worker-died`: opens the media in another worker, where it has to be connected again, and relayed if it was. Rejects with a `MediaError`. */
  reopen(): Promise<void>;
  connectRtp(address: string, port: number): Promise<void>;
  connectSocket(url: string, authorization: string): Promise<void>;
  connectBot(): Promise<void>;
  botSettled(): Promise<void>;
  startRelay(): void;
  tellBot(message: BridgeMessage): void;
  dismissBot(message: BridgeMessage): void;
  hangUp(): void;
  /** Pauses or resumes the recording; resolves with its state then, `off` where the call is not recorded. */
  record(state: 'pause' | 'resume'): Promise<RecordingState | 'off'>;
  drain(): Promise<void>;
  playedOut(): Promise<void>;
  expectAudio(isExpected: boolean): void;
  /** The caller is there, though no audio comes: the time limit begins anew. */
  lineLives(): void;
  figures(): Promise<MediaFigures>;
  close(): Promise<void>;
}
