/**
 * The telephone network of the tests: SIPp places and accepts calls, and reports what was sent and
 * heard.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedTestContainer } from 'testcontainers';
import type { CallReport } from '../sipp/report.ts';
import type { Stall } from '../sipp/stream.ts';
import { LOCALHOST, type Ports } from '../stack/ports.ts';
import { Metronome } from './metronome.ts';

/** A call as `call` reports it, and when the machine had no time for it. */
export interface WitnessedCall extends CallReport {
  /** Stalls of SIPp's own packets, by the kernel's timestamps, and of a metronome of ours. */
  machineStalls: readonly Stall[];
}

/** What `call --json` prints. */
export interface CallOutput {
  exitCode: number;
  errors: string;
  calls: WitnessedCall[];
  messages: {
    timeMs: number;
    sent: boolean;
    startLine: string;
    headers: Record<string, string>;
    body: string;
  }[];
}

/** Options of `call`, as on its command line but in camelCase. */
export type PhoneOptions = Readonly<Record<string, string | number | readonly string[]>>;

const LISTEN_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** Runs `call` in SIPp's container. */
export class Phones {
  #container: StartedTestContainer;
  #ports: Ports;

  constructor(container: StartedTestContainer, ports: Ports) {
    this.#container = container;
    this.#ports = ports;
  }

  /** Places calls. Steady sound from the first moment, unless said otherwise. */
  async call(options: PhoneOptions): Promise<CallOutput> {
    return this.#run({ sip: `${LOCALHOST}:${this.#ports.sip}`, quietMs: 0, ...options });
  }

  /**
   * Places one call and returns its report. If there is none, throws an Error with SIPp's output.
   */
  async callOnce(options: PhoneOptions): Promise<WitnessedCall> {
    return only(await this.call(options));
  }

  /** Waits for calls at `local`; resolves when it listens, with a promise of what came. */
  async listen(options: PhoneOptions & { local: string }): Promise<{ output: Promise<CallOutput> }> {
    const output = this.#run({ scenario: 'callee', quietMs: 0, ...options });
    output.catch(() => undefined);
    await listening(options.local);
    return { output };
  }

  /** Writes a file of SIPp's container, which may be in a volume, or removes it. */
  async write(path: string, text: string | undefined): Promise<void> {
    const command = text === undefined ? 'rm "$0"' : 'printf %s "$1" >"$0.new" && mv "$0.new" "$0"';
    const run = ['sh', '-c', command, path, ...(text === undefined ? [] : [text])];
    const { exitCode, output } = await this.#container.exec(run, { user: 'root' });
    if (exitCode !== 0) throw new Error(`${path}: ${output}`);
  }

  async #run(options: PhoneOptions): Promise<CallOutput> {
    const args = Object.entries(options).flatMap(([name, value]) => {
      const values = Array.isArray(value) ? value : [value];
      const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return values.map((one) => `${option}=${one}`);
    });
    using metronome = new Metronome();
    const { stdout, output } = await this.#container.exec(['call', '--json', ...args]);
    try {
      const printed = JSON.parse(stdout) as CallOutput;
      const calls = printed.calls.map((call) => ({
        ...call,
        machineStalls: [...call.spoke.stalls, ...metronome.stalls],
      }));
      return { ...printed, calls };
    } catch {
      throw new Error(`call ${args.join(' ')}: ${output}`);
    }
  }
}

/** The report of the one call that there was. */
export function only({ calls, errors }: CallOutput): WitnessedCall {
  const [report] = calls;
  if (!report || calls.length > 1) throw new Error(`${calls.length} calls instead of one: ${errors}`);
  return report;
}

/** UDP ports in use on the host, as `address:port`. */
export async function udpSockets(): Promise<string[]> {
  const table = await readFile('/proc/net/udp', 'utf8');
  return [...table.matchAll(/^ *\d+: ([0-9A-F]{8}):([0-9A-F]{4})/gm)].map(([, address = '', port = '']) => {
    const bytes = address.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
    return `${bytes.reverse().join('.')}:${Number.parseInt(port, 16)}`;
  });
}

async function listening(endpoint: string): Promise<void> {
  const deadline = Date.now() + LISTEN_LIMIT_MS;
  while (!(await udpSockets()).includes(endpoint)) {
    if (Date.now() > deadline) throw new Error(`SIPp does not listen at ${endpoint}`);
    await sleep(POLL_MS);
  }
}
