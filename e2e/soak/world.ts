/** What the calls and acts of a soak run share: the stack, and what is known of its calls. */
import type { AriProxy } from '../hands/ari-proxy.ts';
import type { WidePhone } from '../phones/wide-phone.ts';
import type { Stack } from '../stack/stack.ts';
import type { Exchange } from './exchange.ts';
import type { ActKind } from './kinds.ts';
import type { PlannedCall } from './plan.ts';
import type { Receipts } from './receipts.ts';
import type { Slots } from './slots.ts';
import type { ActWindow, CallFacts } from './verdict.ts';

/** A call whose telephone is up, or whose order is on its way. */
export interface RunningCall {
  readonly planned: PlannedCall;
  answeredMs?: number;
  /** It is being transferred. */
  isAway?: boolean;
}

/** The world of one run. Times are by `performance.now()`. */
export interface World {
  readonly stack: Stack;
  readonly slots: Slots;
  readonly proxy: AriProxy;
  readonly exchange: Exchange;
  readonly wide: WidePhone;
  readonly receipts: Receipts;
  /** A disk of the records that can be filled: runs a shell command beside it. */
  readonly onRecordsDisk: (command: string) => Promise<void>;
  /** Fires when the time is over: calls hang up, and no new ones begin. */
  readonly over: AbortSignal;
  readonly running: Map<string, RunningCall>;
  readonly ended: CallFacts[];
  readonly acts: ActWindow[];
  /** The latest look into a container: an act begins after it. */
  looking: Promise<void>;
  /** The act under way. */
  act: ActKind | undefined;
  /** Telephones send one packet in so many not; 0: they send all. */
  lossOneIn: number;
}
