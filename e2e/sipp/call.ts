#!/usr/bin/env node
/** `call`: one SIP call (or a few) with sound through Asterisk, and what was heard at both ends. */
import { randomUUID } from 'node:crypto';
import { parseMessages, readCalls } from './messages.ts';
import { type CallOptions, parseOptions, placesCalls, USAGE } from './options.ts';
import { parsePcap } from './pcap.ts';
import { type BotView, type CallReport, describe, findFaults, reportCalls } from './report.ts';
import { record } from './run.ts';

const USAGE_ERROR = 64;
const BOT_TIMEOUT_MS = 3000;

async function main(args: string[]): Promise<number> {
  if (args.includes('--help')) return print(USAGE, 0);
  let options: CallOptions;
  try {
    options = parseOptions(args, `call-${randomUUID()}`);
  } catch (error) {
    return print(`${(error as Error).message}\n\n${USAGE}`, USAGE_ERROR);
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  if (!options.json && placesCalls(options)) {
    print(
      `calling ${options.to} at ${options.sip.address}:${options.sip.port} for ${options.seconds} s …`,
      0,
    );
  }
  const recording = await record(options, stop.signal);
  const messages = parseMessages(recording.messageLog);
  const calls = readCalls(messages);
  const reports = reportCalls(calls, parsePcap(recording.capture), options.local.address, options.toneHz);
  if (options.mockUrl) for (const report of reports) await askBot(report, options.mockUrl);
  const faults = reports.map((report) => findFaults(report, options.toneHz, options.mockUrl !== undefined));
  if (options.json) {
    const sip = messages.map(({ timeMs, sent, startLine, headers, body }) => ({
      timeMs,
      sent,
      startLine,
      headers,
      body,
    }));
    const { exitCode, errors } = recording;
    return print(JSON.stringify({ exitCode, errors, calls: reports, faults, messages: sip }), exitCode);
  }
  for (const [at, report] of reports.entries()) print(describe(report, faults[at] ?? []), 0);
  if (reports.length < options.calls) return print(`FAIL: ${recording.errors || 'no call was made'}`, 1);
  if (recording.exitCode !== 0) return print(`FAIL: SIPp says\n${recording.errors}`, 1);
  return faults.some((list) => list.length > 0) ? 1 : 0;
}

async function askBot(report: CallReport, mockUrl: string): Promise<void> {
  const id = report.sip.callId;
  if (id === undefined) return;
  // The bot learns of the end of the call a moment after us.
  const url = `${mockUrl}/calls/${encodeURIComponent(id)}?wait=closed&timeout_ms=1000`;
  const response = await fetch(url, { signal: AbortSignal.timeout(BOT_TIMEOUT_MS) }).catch(() => undefined);
  if (response?.ok) report.bot = (await response.json()) as BotView;
}

function print(text: string, exitCode: number): number {
  process.stdout.write(`${text}\n`);
  return exitCode;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) =>
  print(`FAIL: ${(error as Error).message}`, 1),
);
