import type { AriClient } from '../ari/client.ts';
import type { Config } from '../config/environment.ts';
import type { Logger } from '../log.ts';
import type { MediaPool } from '../media/pool.ts';
import type { CallReports } from '../reports/reports.ts';
import type { AsteriskPorts } from './asterisk-ports.ts';
import type { Background } from './background.ts';

/** What the switchboard works with. */
export interface SwitchboardContext {
  /** Of this process, eight hexadecimal digits: in the ids of what it makes in Asterisk. */
  readonly instance: string;
  readonly config: Config;
  readonly ari: AriClient;
  /** Marks the events of now; what is returned resolves when all have been heard that Asterisk had told when it was called. */
  readonly caughtUp: () => () => Promise<void>;
  readonly media: MediaPool;
  readonly asteriskPorts: AsteriskPorts;
  readonly reports: CallReports;
  readonly background: Background;
  readonly log: Logger;
}
