/**
 * Ids that we choose for a call's objects in Asterisk, other than the caller's channel. They let us
 * recognise events, and find objects that a dead process left.
 * `pcb-INSTANCE-NUMBER-CALLER` is the mixing bridge, `pcm-…~` the media channel, `pct-…~` a second
 * leg. INSTANCE is the bridge's process, NUMBER one of its calls. They make ids unique if the same
 * caller channel gets another call: Asterisk would refuse an id still in use (409).
 */
export type OwnKind = 'pcb' | 'pcm' | 'pct';

/** The parts of an id of ours. */
export interface OwnId {
  readonly kind: OwnKind;
  /** The process that created it. */
  readonly instance: string;
  /** Number of the call. For a second leg also a point and the number of the transfer. */
  readonly number: string;
  /** The caller's channel. */
  readonly callerId: string;
}

/**
 * Ends the ids of our channels. Asterisk 22.10 refuses a new channel whose id is a prefix of
 * another channel's id ("Channel Unique ID … already in use"). Without it, call 7.1 could not get a
 * media channel while call 7.10 has one.
 */
const CHANNEL_ID_END = '~';

/** The format of {@link ownId}. Ids of version 0.1 have no instance and number. */
const OWN_ID = /^(pcb|pcm|pct)-(?:([0-9a-f]{8})-(\d+(?:\.\d+)?)-)?(.*?)~?$/s;

/** Writes an id. */
export function ownId({ kind, instance, number, callerId }: OwnId): string {
  return `${kind}-${instance}-${number}-${callerId}${kind === 'pcb' ? '' : CHANNEL_ID_END}`;
}

/**
 * Parses an id. Undefined if it is not ours. Instance and number are empty for ids of version 0.1.
 */
export function parseOwnId(id: string): OwnId | undefined {
  const match = OWN_ID.exec(id);
  if (match === null) return undefined;
  const [, kind, instance = '', number = '', callerId = ''] = match;
  return { kind: kind as OwnKind, instance, number, callerId };
}

/** Whether an id is one of ours of this kind. */
export function isOwn(id: string, kind: OwnKind): boolean {
  return id.startsWith(`${kind}-`);
}
