import { type Encoding, SAMPLE_RATES, type SampleRate } from '../units/audio.ts';
import type { Draft } from './draft.ts';

export { ENCODINGS } from '../units/audio.ts';

/** Encoding of the audio between bridge and bot. */
export type WireEncoding = Encoding;
/** Sample rates of the bot's audio, Hz. A bot may send any of them, whatever the call's rate. */
export const RATES = SAMPLE_RATES;
/** One of them, Hz. */
export type WireRate = SampleRate;

/** Wire formats of bots: our own (native), and Twilio Media Streams. */
export const DIALECTS = ['native', 'twilio'] as const;
export type DialectName = (typeof DIALECTS)[number];

/**
 * Form of audio on the bot's socket, both directions: base64 in JSON, or raw bytes in binary
 * messages.
 */
export const FRAMINGS = ['json', 'binary'] as const;
export type Framing = (typeof FRAMINGS)[number];

/** Who called: the person on the telephone, or we. */
export const DIRECTIONS = ['inbound', 'outbound'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** `restricted`: the caller withheld their number. `unavailable`: the network has no number. */
export const PRESENTATIONS = ['allowed', 'restricted', 'unavailable'] as const;
export type Presentation = (typeof PRESENTATIONS)[number];

/** What a bot or an operator may do to a recording. */
export const RECORDING_REQUESTS = ['pause', 'resume'] as const;
export type RecordingRequest = (typeof RECORDING_REQUESTS)[number];

/**
 * State of a call's recording. `failed`: the disk reports errors, or the file is full. `off`: there
 * is none.
 */
export const RECORDING_STATES = ['on', 'paused', 'failed', 'off'] as const;

/** Kinds of transfers: `blind` to a number, `dialplan` to a place in the operator's dialplan. */
export const TRANSFER_MODES = ['blind', 'dialplan'] as const;
export type TransferMode = (typeof TRANSFER_MODES)[number];

/** What a bot is told about its call in `start`. */
export interface StartFields {
  readonly callId: string;
  readonly streamId: string;
  readonly tenant: string | undefined;
  readonly encoding: WireEncoding;
  readonly sampleRate: WireRate;
  readonly direction: Direction;
  readonly channelId: string;
  readonly sipCallId: string;
  readonly sipProvider: string;
  readonly from: string;
  readonly to: string;
  /** Whether an inbound caller shows their number. Absent if that is not known. */
  readonly callerIdPresentation?: Presentation | undefined;
  /** Those of `CALL_VARIABLES` that are set. */
  readonly variables: Readonly<Record<string, string>>;
  readonly appArgs: readonly string[];
  readonly customVars: Readonly<Record<string, string>>;
  /** The caller's SIP headers `X-…`, from trusted providers only. */
  readonly headers: Readonly<Record<string, string>>;
  /** Form of audio on the socket: base64 in JSON, or one binary message per frame. */
  readonly framing: Framing;
}

/** Destination of a transfer. */
export interface TransferRequest {
  /** The number. With mode `dialplan`: the extension, unless `extension` is set. */
  readonly to: string;
  /** Provider whose trunk is used. Unset: that of the call. */
  readonly provider?: string | undefined;
  /** `blind` by default. */
  readonly mode?: TransferMode | undefined;
  readonly context?: string | undefined;
  readonly extension?: string | undefined;
}

/**
 * What the bot is told besides `start` and audio. Plain data: it crosses to the thread that holds
 * the bot's connection.
 */
export type BridgeMessage =
  | { readonly type: 'answered' }
  /** The caller pressed a key. */
  | { readonly type: 'dtmf'; readonly digit: string; readonly durationMs: number }
  /** All audio queued before the bot's mark was played, or `cleared`. */
  | { readonly type: 'mark'; readonly name: string; readonly cleared: boolean }
  /** A `clear` was executed. `ms` of audio were dropped. */
  | { readonly type: 'cleared'; readonly ms: number }
  /** The caller speaks while the bot plays, as detected by barge-in help. */
  | { readonly type: 'speech'; readonly state: 'start' | 'stop' }
  /**
   * A transfer has started: caller and bot do not hear each other any more. Or it has succeeded,
   * and the caller has left.
   */
  | { readonly type: 'transfer'; readonly status: 'started' | 'completed' }
  /** The transfer failed: the caller is back, or never left. */
  | { readonly type: 'transfer'; readonly status: 'failed'; readonly reason: string }
  /** State of the recording, sent on every change and as the answer to a request. */
  | { readonly type: 'recording'; readonly state: (typeof RECORDING_STATES)[number] }
  /** The caller's phone put the call on hold, or resumed it. */
  | { readonly type: 'hold' | 'unhold' }
  /** A limit ends the call in `remainingMs`. */
  | { readonly type: 'limit'; readonly kind: 'max-duration'; readonly remainingMs: number }
  /** A message of the bot was refused. */
  | { readonly type: 'error'; readonly code: BadCode; readonly message: string }
  /**
   * Audio of the bot was dropped because the playout queue was full. `ms`: how much, since the last
   * such message.
   */
  | { readonly type: 'error'; readonly code: 'overflow'; readonly message: string; readonly ms: number }
  /** The last message of a call. */
  | {
      readonly type: 'hangup';
      readonly reason: string;
      /** Q.850 cause and its name. */
      readonly cause: number;
      readonly causeText: string;
    };

/** A message from the bot, in any dialect. */
export type BotMessage =
  | {
      readonly type: 'media';
      /** The audio is `audio[0..length)`, valid until the next message is decoded. */
      readonly audio: Buffer;
      readonly length: number;
      readonly encoding: WireEncoding;
      readonly sampleRate: WireRate;
    }
  /**
   * A long media message. Its payload is the base64 in `text[start..end)`, which is the memory of
   * the message itself.
   */
  | {
      readonly type: 'long-media';
      readonly text: Buffer;
      readonly start: number;
      readonly end: number;
      readonly encoding: WireEncoding;
      readonly sampleRate: WireRate;
    }
  | { readonly type: 'clear' }
  | { readonly type: 'resume' }
  | { readonly type: 'mark'; readonly name: string }
  | { readonly type: 'dtmf'; readonly digits: string }
  | { readonly type: 'hangup'; readonly immediate: boolean }
  | { readonly type: 'recording'; readonly state: RecordingRequest }
  | ({ readonly type: 'transfer' } & TransferRequest)
  /**
   * An event that the dialect does not know, or JSON without an event. It is ignored: bots may be
   * newer, and also talk to others.
   */
  | { readonly type: 'unknown'; readonly event: string }
  /** A message that cannot be decoded. The bot is told so. */
  | { readonly type: 'bad'; readonly code: BadCode; readonly detail: string };

/** Errors in a bot's message: the `code` of the `error` event. */
export const BAD_CODES = [
  'not-json',
  'bad-field',
  'bad-base64',
  'wrong-encoding',
  'binary',
  'oversize',
  'over-budget',
] as const;
export type BadCode = (typeof BAD_CODES)[number];

/** Every `code` of the `error` event: a message was refused, or audio was dropped. */
export const ERROR_CODES = [...BAD_CODES, 'overflow'] as const;

/** A bot's wire format. Pure; one object per call. */
export interface Dialect {
  /**
   * The messages that open a connection, in order. `reconnected`: it replaces a lost connection of
   * the call. `connectionId`: unique among all connections of the call.
   */
  start(fields: StartFields, reconnected: boolean, connectionId?: string): readonly string[];
  /**
   * Writes a message with the audio `source[start..end)`. `timestampMs` is its position on the
   * caller's timeline, ms.
   */
  media(draft: Draft, source: Buffer, start: number, end: number, timestampMs: number): void;
  /** Encodes a message. Undefined if the dialect has no such message: then nothing is sent. */
  encode(message: BridgeMessage): string | undefined;
  /** Decodes the message `bytes[start..end)`, UTF-8. Never throws. */
  decode(bytes: Buffer, start: number, end: number): BotMessage;
}
