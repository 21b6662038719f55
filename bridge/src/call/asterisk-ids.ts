/**
 * The ids of what a call has in Asterisk besides its caller. They are chosen by us, so that events are recognised and leftovers found.
 * `pcb-INSTANCE-NUMBER-CALLER` is its mixing bridge, `pcm-…~` its media channel and `pct-…~` a second leg. The instance (a process of
 * the bridge) and the number (a call of it) keep a call that is made again for the same caller apart from the one before, whose
 * removal Asterisk may not have finished: it would refuse the id (409).
 */
export type OwnKind = 'pcb' | 'pcm' | 'pct';

/** What an id of ours says. */
export interface OwnId {
  readonly kind: OwnKind;
  /** Which process made it. */
  readonly instance: string;
  /** Which of its calls; for a second leg with the number of the transfer, after a point. */
  readonly number: string;
  /** The caller's channel. */
  readonly callerId: string;
}

/**
 * Ends the id of a channel of ours. Asterisk 22.10 refuses a new channel whose id is the beginning of another's
 * ("Channel Unique ID … already in use"): without it the media of call 7.1 could not be made while those of call 7.10 are there.
 */
const CHANNEL_ID_END = '~';

/** As {@link ownId} writes it; ids of version 0.1 have neither instance nor number. */
const OWN_ID = /^(pcb|pcm|pct)-(?:([0-9a-f]{8})-(\d+(?:\.\d+)?)-)?(.*?)~?$/s;

/** Writes an id. */
export function ownId({ kind, instance, number, callerId }: OwnId): string {
  return `${kind}-${instance}-${number}-${callerId}${kind === 'pcb' ? '' : CHANNEL_ID_END}`;
}

/** Reads an id; undefined where it is not ours. Instance and number are empty where it was made by version 0.1. */
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
