/**
 * The relay bench: the real bridge between a stand-in Asterisk and a stand-in bot, beside a bare
 * relay.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Options, readOptions } from './options.ts';
import { describeProfiles, parseProfile } from './profile.ts';
import { type ArrivalResult, type RunResult, runArrivals, runBridge, runRelay, runSeconds } from './run.ts';
import { collectionTable, lost, memoryLine, nameOf, relayTable, setupTable } from './table.ts';

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
  return `${head}, ${lost(up) + lost(down)} of ${up.sent + down.sent} frames lost`;
}

const secondsLeft = (options: Options) => options.limitSeconds - (performance.now() - startedMs) / 1000;

/** Whether so much time is left; says what is left out. */
function fits(options: Options, what: string, seconds: number): boolean {
  if (seconds <= secondsLeft(options)) return true;
  step(`${what}: left out, it does not fit into ${options.limitSeconds} s`);
  return false;
}

async function runAll(options: Options): Promise<RunResult[]> {
  const { seconds, modeLoad } = options;
  const results: RunResult[] = [];
  const add = (result: RunResult) => {
    step(`  ${describeRun(result)}`);
    results.push(result);
  };
  for (const load of options.loads) {
    const name = nameOf({ ...load, mode: 'echo' });
    if (!fits(options, `${name} calls`, 2 * runSeconds(load.calls, 'echo', seconds))) continue;
    step(`${name} calls, echo, ${seconds} s …`);
    // One right after the other: the speed of a virtual machine drifts, so only neighbours compare.
    add(await runRelay(options, load, 'echo'));
    add(await runBridge(options, load, 'echo'));
  }
  for (const mode of options.modes) {
    if (!fits(options, mode, runSeconds(modeLoad.calls, mode, seconds))) continue;
    step(`${modeLoad.calls} calls, ${mode}, ${seconds} s …`);
    add(await runBridge(options, modeLoad, mode));
  }
  return results;
}

async function arrive(options: Options): Promise<ArrivalResult | undefined> {
  const { arrivalRate, arrivalSeconds } = options;
  const what = `${arrivalRate} calls a second for ${arrivalSeconds} s`;
  if (!fits(options, what, arrivalSeconds + 12)) return undefined;
  step(`${what} …`);
  const result = await runArrivals(options);
  step(`  ${result.callsUp} of ${result.calls} were set up`);
  return result;
}

/** One more run, under the profiler: what it costs is not counted. */
async function profileBridge(options: Options): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'profile-'));
  try {
    step(`${options.modeLoad.calls} calls, echo, under the profiler …`);
    const { windowUs, cpuMsPerCallSecond } = await runBridge(options, options.modeLoad, 'echo', directory);
    // A file a thread: the control thread's, and a media worker's each.
    const files = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'));
    if (files.length === 0) throw new Error('the bridge left no profile');
    const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
    return describeProfiles(texts.map(parseProfile), windowUs, cpuMsPerCallSecond);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const options = readOptions(process.env);
const results = await runAll(options);
const arrivals = await arrive(options);
console.log('CPU in ms per call and second; latency and pacing in ms; lost and gaps are up+down\n');
console.log(`${relayTable(results)}\n\n${memoryLine(results)}`.trimEnd());
console.log(`\nset-up in ms from StasisStart\n\n${setupTable(results, arrivals)}`);
console.log(`\ngarbage collection, longest in ms\n\n${collectionTable(results)}`);
for (const result of results)
  if (result.refused) console.log(`\n${nameOf(result)}, ${result.subject}: ${result.refused}`);
if (options.profile) console.log(`\n${await profileBridge(options)}`);
console.log(JSON.stringify({ relay: results, arrivals }));
