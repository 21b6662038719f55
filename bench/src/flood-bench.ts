/**
 * The flood bench: live calls up to MAX_CALLS through real Asterisk, first alone, then beside a
 * flood of further INVITEs. How fast are these turned away, and do the live calls hear it?
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FloodReport, flood } from './flood.ts';
import { findAsterisk } from './process.ts';
import { PHONE_ADDRESS, runStep, type Step } from './stack-run.ts';
import { layOut, lost, ms } from './table.ts';

const calls = Number(process.env.BENCH_FLOOD_CALLS || 50);
const invites = Number(process.env.BENCH_FLOOD_INVITES || 500);
const rate = Number(process.env.BENCH_FLOOD_RATE || 100);
/** Calls that SIPp begins in a second. */
const BEGIN_RATE = 25;
/** The window is longer than the flood. */
const REST_S = 1;

const directory = await mkdtemp(join(tmpdir(), 'flood-'));
try {
  const place = { cpus: `0-${cpus().length - 1}`, asterisk: findAsterisk(), directory };
  const seconds = Math.ceil(invites / rate) + REST_S;
  const live = { calls, maxCalls: calls, rate: BEGIN_RATE, transport: 'rtp', mode: 'echo', seconds } as const;
  console.error(`${calls} calls alone, ${seconds} s …`);
  const alone = await runStep(live, place);
  console.error(`${calls} calls beside ${invites} INVITEs at ${rate}/s …`);
  let answered: FloodReport | undefined;
  const beside = async () => {
    const sipPort = Number(process.env.SIP_PORT ?? 5060);
    answered = await flood({ invites, rate, address: PHONE_ADDRESS, sipPort });
  };
  const flooded = await runStep({ ...live, beside }, place);
  const row = (name: string, { callsUp, report: { up, down }, cpuPercent, refused }: Step) => [
    name,
    String(callsUp),
    `${ms(down.pacingMs.p99)}/${ms(down.pacingMs.p999)}`,
    `${lost(up)}+${lost(down)}`,
    `${up.gaps}+${down.gaps}`,
    ...[cpuPercent.asterisk, cpuPercent.bridge].map((value) => `${value.toFixed(0)} %`),
    refused === undefined ? '' : 'the generator was late',
  ];
  const heads = ['', 'calls', 'pacing p99/p99.9', 'lost', 'gaps', 'asterisk', 'bridge', 'not judged'];
  console.log(layOut(heads, [row('alone', alone), row('beside the flood', flooded)]));
  const { statuses = {}, answerMs } = answered ?? {};
  const list = Object.entries(statuses).map(([status, count]) => `${count} × ${status}`);
  console.log(
    `\n${list.join(', ')}; after ${ms(answerMs?.p50)} (p50), ${ms(answerMs?.p99)} (p99), ${ms(answerMs?.max)} ms (max)`,
  );
  console.log(JSON.stringify({ flood: { alone, flooded, answered } }));
} finally {
  await rm(directory, { recursive: true });
}
