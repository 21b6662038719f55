import type { Draft } from './draft.ts';

/** Audio format names of the wire between bridge and bot. pcm16 is little-endian. */
export const ENCODINGS = ['pcmu', 'pcma', 'pcm16'] as const;
export type WireEncoding = (typeof ENCODINGS)[number];
/** Sample rates of the wire, Hz: a bot may send any of them, whatever the call's own is. */
export const RATES = [8_000, 16_000, 24_000] as const;
export type WireRate = (typeof RATES)[number];

/** Wire formats of bots: the contract's own, and Twilio Media Streams. */
export const DIALECTS = ['native', 'twilio'] as const;
export type DialectName = (typeof DIALECTS)[number];

/** How audio crosses the bot's socket, both ways: base64 in JSON, or raw bytes in binary messages. */
export const FRAMINGS = ['json', 'binary'] as const;
export type Framing = (typeof FRAMINGS)[number];

/** What a bot is told about its call, once, in `start`. */
export interface StartFields {
  readonly callId: string;
  readonly streamId: string;
  readonly tenant: string | undefined;
  readonly encoding: WireEncoding;
  readonly sampleRate: WireRate;
  readonly direction: 'inbound' | 'outbound';
  readonly channelId: string;
  readonly sipCallId: string;
  readonly sipProvider: string;
  readonly from: string;
  readonly to: string;
  /** Whether an inbound caller shows their number; absent where that is not known. */
  readonly callerIdPresentation?: 'allowed' | 'restricted' | 'unavailable' | undefined;
  /** The channel variables of the contract that are set. */
  readonly variables: Readonly<Record<string, string>>;
  readonly appArgs: readonly string[];
  readonly customVars: Readonly<Record<string, string>>;
  /** The caller's SIP headers `X-…`, from trusted providers only. */
  readonly headers: Readonly<Record<string, string>>;
  /** How audio crosses the socket: in JSON, or as it is, a binary message a frame. */
  readonly framing: Framing;
}

/** Where a caller is to be handed over to. */
export interface TransferRequest {
  /** The number; with mode `dialplan` the extension, unless `extension` says another. */
  readonly to: string;
  /** Whose trunk is dialled over; unset: the call's own. */
  readonly provider?: string | undefined;
  /** `blind` (unset): to a number. `dialplan`: to a place in the operator's dialplan. */
  readonly mode?: 'blind' | 'dialplan' | undefined;
  readonly context?: string | undefined;
  readonly extension?: string | undefined;
}

/** What the bot is told besides `start` and audio. Plain data: it crosses to the thread that holds the bot's connection. */
export type BridgeMessage =
  | { readonly type: 'answered' }
  /** The caller pressed a key. */
  | { readonly type: 'dtmf'; readonly digit: string; readonly durationMs: number }
  /** All that was queued before the bot's mark is played, or `cleared`. */
  | { readonly type: 'mark'; readonly name: string; readonly cleared: boolean }
  /** A `clear` was obeyed; `ms` of audio were cut. */
  | { readonly type: 'cleared'; readonly ms: number }
  /** Caller's speech over the bot's, as barge-in help sees it. */
  | { readonly type: 'speech'; readonly state: 'start' | 'stop' }
  /** A transfer is under way: caller and bot do not hear each other from here on. Or the caller is somebody else's now. */
  | { readonly type: 'transfer'; readonly status: 'started' | 'completed' }
  /** The caller is back, or never left. */
  | { readonly type: 'transfer'; readonly status: 'failed'; readonly reason: string }
  /** The call is being recorded, or not; told at every change, and when the bot asks for one. */
  | { readonly type: 'recording'; readonly state: 'on' | 'paused' | 'failed' | 'off' }
  /** The caller's phone holds the call, or goes on with it. */
  | { readonly type: 'hold' | 'unhold' }
  /** A limit of the call will end it in `remainingMs`. */
  | { readonly type: 'limit'; readonly kind: 'max-duration'; readonly remainingMs: number }
  /** A message of the bot was refused. */
  | { readonly type: 'error'; readonly code: BadCode; readonly message: string }
  /** Audio of the bot was dropped: more waited than the playout holds. `ms`: how much, since this was last told. */
  | { readonly type: 'error'; readonly code: 'overflow'; readonly message: string; readonly ms: number }
  /** The last message of a call. */
  | {
      readonly type: 'hangup';
      readonly reason: string;
      /** Q.850 cause and its name. */
      readonly cause: number;
      readonly causeText: string;
    };

/** A message from the bot, whatever its dialect. */
export type BotMessage =
  | {
      readonly type: 'media';
      /** The audio is `audio[0..length)`, valid until the next message is decoded. */
      readonly audio: Buffer;
      readonly length: number;
      readonly encoding: WireEncoding;
      readonly sampleRate: WireRate;
    }
  /** A long one: its payload is the base64 in `text[start..end)`, which is the message's own memory. */
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
  | { readonly type: 'recording'; readonly state: 'pause' | 'resume' }
  | ({ readonly type: 'transfer' } & TransferRequest)
  /** An event that this dialect does not know, or JSON without one: passed over, for bots may be newer than we are and talk to others. */
  | { readonly type: 'unknown'; readonly event: string }
  /** Not to be understood; the bot is told so. */
  | { readonly type: 'bad'; readonly code: BadCode; readonly detail: string };

/** What can be wrong with a bot's message: the `code` of the `error` event. */
export type BadCode =
  | 'not-json'
  | 'bad-field'
  | 'bad-base64'
  | 'wrong-encoding'
  | 'binary'
  | 'oversize'
  | 'over-budget';

/** A bot's wire format: pure, one object a call. */
export interface Dialect {
  /** The messages that open a connection, in order. `reconnected`: it takes over a call whose former connection was lost. */
  start(fields: StartFields, reconnected: boolean): readonly string[];
  /** Writes a message of the audio `source[start..end)`; `timestampMs` is its position in the caller's time, by the RTP clock. */
  media(draft: Draft, source: Buffer, start: number, end: number, timestampMs: number): void;
  /** Undefined where the dialect has no such message: then nothing is sent. */
  encode(message: BridgeMessage): string | undefined;
  /** Reads the message `bytes[start..end)`, UTF-8. Never throws. */
  decode(bytes: Buffer, start: number, end: number): BotMessage;
}
