/** The calls and acts of a soak run, and which ends of a call each of them may cause. Data only. */
import { ATTENTIVE, BINARY, FINTECH, STREAM, TRUNK, TWILIO } from '../stack/ports.ts';

/** Where a telephone of each provider is, and how it speaks SIP. */
export const LINES = {
  pb_fintech: { address: FINTECH, transport: 'udp', prefix: '+9180' },
  attentive: { address: ATTENTIVE, transport: 'udp', prefix: '+4930' },
  trunk: { address: TRUNK, transport: 'udp', prefix: '+4930' },
  twilio: { address: TWILIO, transport: 'udp', prefix: '+4930' },
  binary: { address: BINARY, transport: 'udp', prefix: '+4930' },
  stream: { address: STREAM, transport: 'tcp', prefix: '+4930' },
} as const;
/** A provider whose telephone is a `SipPhone`. */
export type Line = keyof typeof LINES;

/** What a call does, beside talking. */
export type Deed =
  | 'leg' // the bot transfers to a second leg, which hangs up
  | 'refer' // the bot transfers by REFER
  | 'dialplan' // the bot transfers to the operator's dialplan
  | 'keys' // both sides press keys
  | 'pause' // the recording is paused and resumed
  | 'delete' // the API hangs up
  | 'cancel' // the caller gives up before the answer
  | 'busy' // the callee refuses
  | 'ignore'; // the callee's phone rings, and nobody answers

/** One kind of call. */
export interface CallKind {
  readonly name: string;
  readonly weight: number;
  /** Who begins it: the telephone, `POST /calls`, or an origination into the app by ARI. */
  readonly by: 'phone' | 'sipp' | 'wide' | 'api' | 'ari';
  readonly line: Line;
  /** The bot's number: its mode (`mock-pipecat/README.md`). */
  readonly bot: string;
  readonly does?: Deed;
  /** Channel variables of a call that we place. */
  readonly variables?: Readonly<Record<string, string>>;
  /** The end reasons of its own. `caller-hangup` counts only where the telephone hung up first. */
  readonly ends: readonly string[];
}

const HANGS_UP = ['caller-hangup'];
const TRANSFERRED = ['transferred', 'caller-hangup'];
const WIDE = { X_TRANSPORT: 'websocket', X_CODEC: 'pcm16' };

/** All kinds of calls. */
export const CALL_KINDS: readonly CallKind[] = [
  { name: 'tone', weight: 4, by: 'phone', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  { name: 'tcp', weight: 2, by: 'phone', line: 'stream', bot: '102', ends: HANGS_UP },
  { name: 'barge-in', weight: 1, by: 'phone', line: 'attentive', bot: '106', ends: HANGS_UP },
  { name: 'binary', weight: 2, by: 'phone', line: 'binary', bot: '102', ends: HANGS_UP },
  { name: 'twilio', weight: 2, by: 'phone', line: 'twilio', bot: '102', ends: HANGS_UP },
  { name: 'burst', weight: 1, by: 'phone', line: 'pb_fintech', bot: '103', ends: HANGS_UP },
  { name: 'echo', weight: 1, by: 'phone', line: 'trunk', bot: '101', ends: HANGS_UP },
  {
    name: 'goodbye',
    weight: 2,
    by: 'phone',
    line: 'pb_fintech',
    bot: '107',
    ends: ['bot-hangup', 'caller-hangup'],
  },
  {
    name: 'pipecat-end',
    weight: 1,
    by: 'phone',
    line: 'twilio',
    bot: '122',
    ends: ['bot-closed', 'caller-hangup'],
  },
  { name: 'keys', weight: 1, by: 'phone', line: 'pb_fintech', bot: '108', does: 'keys', ends: HANGS_UP },
  { name: 'leg', weight: 2, by: 'phone', line: 'trunk', bot: '102', does: 'leg', ends: TRANSFERRED },
  { name: 'refer', weight: 1, by: 'phone', line: 'pb_fintech', bot: '102', does: 'refer', ends: TRANSFERRED },
  {
    name: 'dialplan',
    weight: 1,
    by: 'phone',
    line: 'pb_fintech',
    bot: '102',
    does: 'dialplan',
    ends: TRANSFERRED,
  },
  {
    name: 'delete',
    weight: 1,
    by: 'phone',
    line: 'binary',
    bot: '102',
    does: 'delete',
    ends: ['api-hangup', 'caller-hangup'],
  },
  { name: 'cancel', weight: 1, by: 'phone', line: 'pb_fintech', bot: '109', does: 'cancel', ends: HANGS_UP },
  { name: 'sipp', weight: 1, by: 'sipp', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  { name: 'g722', weight: 1, by: 'wide', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  { name: 'opus', weight: 1, by: 'wide', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  { name: 'order', weight: 2, by: 'api', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  {
    name: 'order-16k',
    weight: 2,
    by: 'api',
    line: 'pb_fintech',
    bot: '102',
    variables: { ...WIDE, X_SR: '16000' },
    ends: HANGS_UP,
  },
  {
    name: 'order-recorded',
    weight: 2,
    by: 'api',
    line: 'pb_fintech',
    bot: '102',
    does: 'pause',
    variables: { X_RECORD: 'on', X_CODEC: 'pcma' },
    ends: HANGS_UP,
  },
  {
    name: 'order-deleted',
    weight: 1,
    by: 'api',
    line: 'trunk',
    bot: '102',
    does: 'delete',
    ends: ['api-hangup', 'caller-hangup'],
  },
  { name: 'order-tcp', weight: 1, by: 'api', line: 'stream', bot: '102', ends: HANGS_UP },
  {
    name: 'order-busy',
    weight: 1,
    by: 'api',
    line: 'pb_fintech',
    bot: '102',
    does: 'busy',
    ends: ['not-answered'],
  },
  {
    name: 'order-ignored',
    weight: 1,
    by: 'api',
    line: 'pb_fintech',
    bot: '102',
    does: 'ignore',
    ends: ['not-answered'],
  },
  { name: 'ari', weight: 2, by: 'ari', line: 'pb_fintech', bot: '102', ends: HANGS_UP },
  {
    name: 'ari-24k',
    weight: 1,
    by: 'ari',
    line: 'pb_fintech',
    bot: '102',
    variables: { ...WIDE, X_SR: '24000', X_RECORD: 'paused' },
    ends: HANGS_UP,
  },
  {
    name: 'ari-goodbye',
    weight: 1,
    by: 'ari',
    line: 'pb_fintech',
    bot: '107',
    ends: ['bot-hangup', 'caller-hangup'],
  },
  {
    name: 'ari-busy',
    weight: 1,
    by: 'ari',
    line: 'trunk',
    bot: '102',
    does: 'busy',
    ends: ['not-answered'],
  },
];

/** One kind of act: a fault, or something that an operator does. */
export interface ActKind {
  readonly name: string;
  readonly is: 'fault' | 'planned';
  /** How long it lasts, ms. */
  readonly minMs: number;
  readonly maxMs: number;
  /** It concerns one call, and not all that are up. */
  readonly hasTarget?: boolean;
  /** Another process serves the calls afterwards. */
  readonly replaces?: boolean;
  /** A call that begins meanwhile may be turned away, and then leaves no record. */
  readonly turnsAway?: boolean;
  /** End reasons that it may cause, of calls that are not answered yet, and of answered ones. */
  readonly unanswered: readonly string[];
  readonly answered: readonly string[];
  /** More reasons for a call that its telephone, bot or callee ended meanwhile. */
  readonly ending?: readonly string[];
}

/** The bridge did not hear of a call's end, or Asterisk did not reply: seen as this. */
const NOT_SET_UP = ['setup-failed', 'not-answered', 'bot-unavailable'];

/** All kinds of acts. */
export const ACT_KINDS: readonly ActKind[] = [
  {
    name: 'bot-closes-1000',
    is: 'fault',
    minMs: 0,
    maxMs: 0,
    hasTarget: true,
    unanswered: ['bot-unavailable'],
    answered: ['bot-closed'],
  },
  {
    name: 'bot-closes-1011',
    is: 'fault',
    minMs: 0,
    maxMs: 0,
    hasTarget: true,
    unanswered: ['bot-unavailable'],
    answered: [],
  },
  {
    name: 'bot-cut-1006',
    is: 'fault',
    minMs: 0,
    maxMs: 0,
    hasTarget: true,
    unanswered: ['bot-unavailable'],
    answered: [],
  },
  {
    name: 'bot-hangs',
    is: 'fault',
    minMs: 1_000,
    maxMs: 7_000,
    unanswered: ['bot-unavailable'],
    answered: [],
  },
  {
    name: 'bot-stops',
    is: 'fault',
    minMs: 500,
    maxMs: 6_000,
    unanswered: ['bot-unavailable'],
    answered: [],
  },
  {
    name: 'events-cut',
    is: 'fault',
    minMs: 1_000,
    maxMs: 13_000,
    turnsAway: true,
    unanswered: NOT_SET_UP,
    answered: [],
  },
  {
    name: 'events-stalled',
    is: 'fault',
    minMs: 1_000,
    maxMs: 8_000,
    turnsAway: true,
    unanswered: NOT_SET_UP,
    answered: [],
  },
  {
    name: 'ari-cut',
    is: 'fault',
    minMs: 1_000,
    maxMs: 8_000,
    turnsAway: true,
    unanswered: NOT_SET_UP,
    answered: [],
  },
  {
    name: 'asterisk-stands-still',
    is: 'fault',
    minMs: 500,
    maxMs: 6_000,
    turnsAway: true,
    unanswered: NOT_SET_UP,
    answered: [],
  },
  {
    name: 'rtp-loss',
    is: 'fault',
    minMs: 2_000,
    maxMs: 6_000,
    unanswered: [],
    answered: [],
  },
  {
    name: 'callbacks-refused',
    is: 'fault',
    minMs: 1_000,
    maxMs: 8_000,
    unanswered: [],
    answered: [],
  },
  {
    name: 'records-disk-full',
    is: 'fault',
    minMs: 1_000,
    maxMs: 6_000,
    unanswered: [],
    answered: [],
  },
  {
    name: 'bridge-stands-still',
    is: 'fault',
    minMs: 500,
    maxMs: 4_000,
    turnsAway: true,
    unanswered: NOT_SET_UP,
    answered: [],
  },
  {
    name: 'bridge-killed',
    is: 'fault',
    minMs: 0,
    maxMs: 2_000,
    replaces: true,
    turnsAway: true,
    unanswered: ['bridge-died', ...NOT_SET_UP],
    answered: [],
    ending: ['bridge-died'],
  },
  {
    name: 'handover',
    is: 'planned',
    minMs: 2_000,
    maxMs: 12_000,
    replaces: true,
    unanswered: ['bridge-died'],
    answered: [],
    ending: ['bridge-died'],
  },
  {
    name: 'sigterm-start',
    is: 'planned',
    minMs: 0,
    maxMs: 1_000,
    replaces: true,
    turnsAway: true,
    unanswered: ['shutdown', 'refused', 'not-answered'],
    answered: ['shutdown'],
  },
  {
    name: 'hold-new-calls',
    is: 'planned',
    minMs: 1_000,
    maxMs: 3_000,
    turnsAway: true,
    // An origination is answered before it reaches the bridge: it is refused as a dial.
    unanswered: ['refused', 'shutdown', 'not-answered'],
    answered: [],
  },
];

/**
 * What a transfer that an act meets may end with, beside its own ends: the caller is in the
 * dialplan or with a second leg, where the bridge cannot keep the call by itself.
 */
export const IN_TRANSFER: readonly string[] = ['media-failed', 'bridge-died', 'bot-lost'];
