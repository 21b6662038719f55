import type { FakeRtp } from './fake-rtp.ts';

/** A channel of the fake; `FakeAri.show()` shows it as ARI does. */
export interface FakeChannel {
  readonly id: string;
  readonly name: string;
  state: 'Down' | 'Ring' | 'Ringing' | 'Up';
  inStasis: boolean;
  subscribed: boolean;
  readonly isOriginated: boolean;
  /** Given back to the dialplan, and where to: context and extension, if anywhere. */
  continued: boolean;
  sentTo?: string;
  readonly args: readonly string[];
  readonly variables: Record<string, string>;
  readonly from: string;
  readonly to: string;
  /** ARI requests in order that acted on this channel: `ring`, `answer`, `dtmf 12#` … */
  readonly done: string[];
  /** Ring time of its dial, s. */
  ringSeconds?: number;
  readonly rtp: FakeRtp | undefined;
}

/** What a new channel of the test is like. */
export interface ChannelOptions {
  readonly id?: string;
  readonly name?: string;
  readonly from?: string;
  readonly to?: string;
  readonly args?: readonly string[];
  readonly variables?: Record<string, string>;
}
