import { CALL_VARIABLES } from '../src/call/info.ts';
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
  /** When it was made, Unix time, ms. */
  readonly createdMs: number;
  /** What `rtp_statistics` says. */
  statistics?: Record<string, unknown>;
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

/** What `channelvars` of our ari.conf names: in every channel, empty where unset. */
const UNSET_VARIABLES = Object.fromEntries(CALL_VARIABLES.map((name) => [name, '']));

/** Functions, such as FRAME_DROP(RX), are set as variables are, and are none. */
const variablesOf = ({ variables }: FakeChannel): Record<string, string> =>
  Object.fromEntries(Object.entries(variables).filter(([name]) => !name.endsWith(')')));

/** The channel as ARI shows it. */
export function shown(channel: FakeChannel, app: string, showsVariables: boolean): object {
  return {
    id: channel.id,
    name: channel.name,
    state: channel.state,
    protocol_id: `sip-${channel.id}`,
    caller: { name: '', number: channel.rtp ? '' : channel.from },
    connected: { name: '', number: channel.isOriginated ? channel.from : '' },
    accountcode: '',
    dialplan: {
      context: 'from-provider',
      exten: channel.isOriginated ? 's' : channel.to,
      priority: channel.isOriginated ? 1 : 18,
      app_name: channel.inStasis ? 'Stasis' : channel.isOriginated ? 'AppDial2' : '',
      app_data: channel.inStasis ? [app, ...channel.args].join(',') : '',
    },
    creationtime: new Date(channel.createdMs).toISOString().replace('Z', '+0000'),
    language: 'en',
    ...(showsVariables ? { channelvars: { ...UNSET_VARIABLES, ...variablesOf(channel) } } : {}),
  };
}
