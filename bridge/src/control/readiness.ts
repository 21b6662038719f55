import type { AriClient } from '../ari/client.ts';
import { type Config, portNeeds } from '../config/environment.ts';
import { rangeWarnings } from '../config/port-ranges.ts';
import type { MediaPool } from '../media/pool.ts';
import type { Retention } from '../recording/retention.ts';
import type { RecordStore } from '../records/store.ts';
import type { AsteriskPorts } from '../switchboard/asterisk-ports.ts';
import type { CallsElsewhere } from '../switchboard/calls-elsewhere.ts';
import type { Gate } from '../switchboard/gate.ts';
import type { Switchboard } from '../switchboard/switchboard.ts';

/** The parts that tell whether the bridge is ready. */
export interface ReadinessParts {
  readonly config: Config;
  readonly switchboard: Switchboard;
  readonly elsewhere: Pick<CallsElsewhere, 'calls'>;
  readonly gate: Pick<Gate, 'isOverloaded'>;
  readonly records: Pick<RecordStore, 'problem'>;
  readonly media: Pick<MediaPool, 'stats' | 'botAccess'>;
  readonly recordings: Pick<Retention, 'problem' | 'recentFailures'>;
  readonly asteriskPorts: AsteriskPorts;
  readonly ari: Pick<AriClient, 'mediaRefusedMs'>;
  /** Why ARI cannot be used now. Undefined if it can. */
  readonly ariProblem: string | undefined;
  /** Whether clients do not reach this process, since another one has the port. */
  readonly isPortBlocked: boolean;
  readonly wasReloadRefused: boolean;
}

/** Whether the bridge takes calls: not if there is a problem. Warnings do not keep it from that. */
export function readiness(parts: ReadinessParts): { problems: string[]; warnings: string[] } {
  const { config, switchboard, ariProblem } = parts;
  const problems: string[] = [];
  if (switchboard.admission.isDraining) problems.push('the bridge is stopping');
  else if (switchboard.admission.isSuspended) problems.push('the operator lets the calls end');
  if (switchboard.handingOver.isUnderWay) problems.push('a new process takes the new calls');
  if (ariProblem !== undefined) problems.push(ariProblem);
  if (switchboard.running.all.size + parts.elsewhere.calls >= config.MAX_CALLS)
    problems.push('MAX_CALLS is reached');
  if (parts.gate.isOverloaded) problems.push('the bridge is overloaded');
  const warnings: string[] = [];
  if (parts.isPortBlocked)
    warnings.push(`another process has the HTTP port ${config.HTTP_PORT}, and does not hand it over`);
  if (parts.wasReloadRefused)
    warnings.push('the last reload was refused: what runs is not what the files say');
  const { problem } = parts.records;
  if (problem !== undefined) warnings.push(`call records cannot be written: ${problem}`);
  const failures = parts.media.stats.reduce((sum, { recording }) => sum + recording.failures, 0);
  const recordings = parts.recordings.problem ?? parts.recordings.recentFailures(failures, performance.now());
  if (recordings !== undefined) warnings.push(`recordings may have gaps or end early: ${recordings}`);
  for (const bot of parts.media.botAccess.problems) warnings.push(`bot not reachable: ${bot}`);
  warnings.push(...rangeWarnings(portNeeds(config)));
  warnings.push(...parts.asteriskPorts.warnings(parts.ari.mediaRefusedMs, performance.now()));
  return { problems, warnings };
}
