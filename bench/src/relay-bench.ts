/** The relay bench: the real bridge between a stand-in Asterisk and a stand-in bot, beside a bare relay. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Options, readOptions } from './options.ts';
import { describeProfile, parseProfile } from './profile.ts';
import { type RunResult, runBridge, runRelay } from './run.ts';
import { bridgeTable, relayTable } from './table.ts';

const startedMs = performance.now();

/** Progress goes to standard error: standard output is for the results. */
function step(text: string): void {
  console.error(`[${String(Math.round((performance.now() - startedMs) / 1000)).padStart(3)}s] ${text}`);
}

function describeRun(result: RunResult): string {
  const { subject, cpuMsPerCallSecond, report, refused } = result;
  const head = `${subject}: ${cpuMsPerCallSecond.toFixed(2)} ms of CPU per call and second`;
  if (report === undefined) return `${head}; sound not judged: ${refused}`;
  const { up, down } = report;
  return `${head}, ${up.sent - up.arrived + down.sent - down.arrived} of ${up.sent + down.sent} frames lost`;
}

async function runAll(options: Options): Promise<RunResult[]> {
  const results: RunResult[] = [];
  const add = (result: RunResult) => {
    step(`  ${describeRun(result)}`);
    results.push(result);
  };
  for (const calls of options.calls) {
    step(`${calls} calls, echo, ${options.seconds} s …`);
    // One right after the other: the speed of a virtual machine drifts, so only neighbours compare.
    add(await runRelay(options, calls, 'echo'));
    add(await runBridge(options, calls, 'echo'));
  }
  for (const mode of options.modes) {
    step(`${options.modeCalls} calls, ${mode}, ${options.seconds} s …`);
    add(await runBridge(options, options.modeCalls, mode));
  }
  return results;
}

/** One more run, under the profiler: what it costs is not counted. */
async function profileBridge(options: Options): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'profile-'));
  try {
    step(`${options.modeCalls} calls, echo, under the profiler …`);
    const { windowUs, cpuMsPerCallSecond } = await runBridge(options, options.modeCalls, 'echo', directory);
    const [file] = await readdir(directory);
    if (file === undefined) throw new Error('the bridge left no profile');
    const profile = parseProfile(await readFile(join(directory, file), 'utf8'));
    return describeProfile(profile, windowUs, cpuMsPerCallSecond);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const options = readOptions(process.env);
const results = await runAll(options);
console.log('CPU in ms per call and second; latency, pacing and set-up in ms; lost and gaps are up+down\n');
console.log(relayTable(results));
console.log(`\n${bridgeTable(results)}`);
for (const { calls, mode, subject, refused } of results) {
  if (refused !== undefined) console.log(`\n${subject}, ${calls} calls, ${mode}: ${refused}`);
}
if (options.profile) console.log(`\n${await profileBridge(options)}`);
console.log(JSON.stringify({ relay: results }));
