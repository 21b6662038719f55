import type { AriClient } from '../ari/client.ts';
import type { Config } from '../config/environment.ts';
import type { Logger } from '../log.ts';
import type { MediaPool } from '../media/pool.ts';
import type { CallReports } from '../reports/reports.ts';
import type { AsteriskPorts } from './asterisk-ports.ts';
import type { Background } from './background.ts';
import type { CallsElsewhere } from './calls-elsewhere.ts';
import type { Gate } from './gate.ts';
import type { Predecessors } from './predecessors.ts';

/** What the switchboard works with. */
export interface SwitchboardContext {
  /** Id of this process, eight hexadecimal digits. Part of the ids that it chooses in Asterisk. */
  readonly instance: string;
  readonly config: Config;
  readonly ari: AriClient;
  /**
   * Marks the present. The returned function resolves when all events have arrived that Asterisk
   * had sent before it was called.
   */
  readonly caughtUp: () => () => Promise<void>;
  readonly predecessors: Predecessors;
  /** Calls of other processes, which count for the limits. */
  readonly elsewhere: CallsElsewhere;
  readonly media: MediaPool;
  readonly asteriskPorts: AsteriskPorts;
  readonly reports: CallReports;
  readonly background: Background;
  /** Checked each time that the number of calls changes, or whether calls are taken. */
  readonly gate: Pick<Gate, 'isOverloaded' | 'check' | 'letGo'>;
  readonly log: Logger;
}
