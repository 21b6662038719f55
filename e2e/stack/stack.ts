/**
 * The whole stack of the tests: Asterisk, bridge, mock bot and SIPp in containers, and the means to
 * use it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedTestContainer } from 'testcontainers';
import { Ari } from '../hands/ari.ts';
import { MockBot } from '../hands/bot.ts';
import { Phones } from '../phones/phones.ts';
import {
  type Environment,
  killContainer,
  PROVIDERS_PATH,
  pauseContainer,
  removeOrphans,
  resumeContainer,
  SECRETS,
  signalContainer,
  startAsterisk,
  startBridge,
  startMock,
  startPhones,
} from './containers.ts';
import { LeakCheck, readMetrics } from './leaks.ts';
import { LOCALHOST, PORTS, type Ports } from './ports.ts';
import { takeTurn } from './turn.ts';

/** What differs from the usual stack. */
export interface StackOptions {
  ports?: Ports;
  asterisk?: Environment;
  bridge?: Environment;
  /** Parts that the test starts later itself. */
  without?: readonly Part[];
  /** Called when SIPp can be used and Asterisk has not been started. */
  beforeAsterisk?: (phones: Phones) => Promise<void>;
}

/** A container that can be started and stopped on its own. */
export type Part = 'asterisk' | 'bridge' | 'mock';

/** What the bridge counts of a call: the caller's audio, and the bot's. */
export interface Figures {
  line: Record<string, number>;
  playout: Record<string, number>;
}

const FIGURES_LIMIT_MS = 5000;
const READY_LIMIT_MS = 30_000;
/** A call record, as far as tests look at it: `bridge/src/records/record.ts`. */
export interface CallRecord {
  callId: string;
  state: string;
  times: Record<string, string>;
  media?: Record<string, number>;
  endReason?: string;
  endedBy?: string;
  cause?: number;
  outcome?: string;
  sipStatus?: number;
  [name: string]: unknown;
}

const RECORD_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 15_000;
const POLL_MS = 50;

/** A running stack; `stop` ends it and everything that belongs to it. */
export class Stack {
  readonly ports: Ports;
  readonly phones: Phones;
  readonly ari: Ari;
  readonly bot: MockBot;
  readonly leaks: LeakCheck;
  readonly #options: StackOptions;
  readonly #turn: Disposable;
  readonly #containers = new Map<Part, StartedTestContainer>();

  private constructor(options: StackOptions, ports: Ports, phones: Phones, turn: Disposable) {
    this.#turn = turn;
    this.#options = options;
    this.ports = ports;
    this.phones = phones;
    this.ari = new Ari(ports);
    this.bot = new MockBot(ports);
    this.leaks = new LeakCheck(this.ari, ports);
  }

  /**
   * Starts a stack, ready to take calls, when no other test has one. First removes what an earlier
   * run may have left.
   */
  static async start(options: StackOptions = {}): Promise<Stack> {
    const turn = await takeTurn();
    cleanUpOnSignal();
    try {
      await removeOrphans();
      const ports = options.ports ?? PORTS;
      const stack = new Stack(options, ports, new Phones(await startPhones(), ports), turn);
      await options.beforeAsterisk?.(stack.phones);
      const parts = (['asterisk', 'bridge', 'mock'] as const).filter(
        (part) => !options.without?.includes(part),
      );
      await Promise.all(parts.map((part) => stack.startPart(part)));
      if (!options.without?.length) {
        await stack.ready();
        await stack.leaks.expectNone();
      }
      return stack;
    } catch (error) {
      await removeOrphans().finally(() => turn[Symbol.dispose]());
      throw error;
    }
  }

  /** Starts a container that is not running. */
  async startPart(part: Part, environment: Environment = {}): Promise<void> {
    const start = {
      asterisk: () => startAsterisk(this.ports, { ...this.#options.asterisk, ...environment }),
      bridge: () => startBridge(this.ports, { ...this.#options.bridge, ...environment }),
      mock: () => startMock(this.ports),
    };
    this.#containers.set(part, await start[part]());
  }

  /** Ends a container gracefully and removes it. */
  async stopPart(part: Part): Promise<void> {
    await this.#containers.get(part)?.stop({ timeout: STOP_LIMIT_MS });
    this.#containers.delete(part);
  }

  /** Kills a container and removes it. */
  async killPart(part: Part): Promise<void> {
    const container = this.#containers.get(part);
    if (container !== undefined) await killContainer(container);
    await this.stopPart(part);
  }

  /** Sends a signal to a container. */
  async signalPart(part: Part, signal: string): Promise<void> {
    const container = this.#containers.get(part);
    if (container !== undefined) await signalContainer(container, signal);
  }

  /** Writes a provider's file while the stack runs, or removes it. */
  async writeProvider(name: string, text: string | undefined): Promise<void> {
    await this.phones.write(`${PROVIDERS_PATH}/${name}`, text);
  }

  /** Has a container stand still, as a machine without time does. */
  async pausePart(part: Part): Promise<void> {
    const container = this.#containers.get(part);
    if (container !== undefined) await pauseContainer(container);
  }

  /** Has a container that stands still go on. */
  async resumePart(part: Part): Promise<void> {
    const container = this.#containers.get(part);
    if (container !== undefined) await resumeContainer(container);
  }

  /** The latest record of a call that has ended, as the bridge that runs now has logged it. */
  async record(callId: string): Promise<CallRecord> {
    let found: CallRecord | undefined;
    await until(`the record of ${callId}`, RECORD_LIMIT_MS, async () => {
      const lines = (await this.logs('bridge')).split('\n').filter((line) => line.includes('"call record"'));
      const records = lines.map((line) => (JSON.parse(line) as { record: CallRecord }).record);
      found = records.findLast((record) => record.callId === callId);
      return found !== undefined;
    });
    return found as CallRecord;
  }

  /** What the bridge's API answers to a GET. */
  async api(path: string): Promise<{ calls: CallRecord[] }> {
    const response = await fetch(`http://${LOCALHOST}:${this.ports.http}${path}`, {
      headers: { authorization: `Bearer ${SECRETS.apiToken}` },
      signal: AbortSignal.timeout(5000),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { calls: CallRecord[] };
  }

  /** Everything that a container has logged. */
  async logs(part: Part): Promise<string> {
    const container = this.#containers.get(part);
    if (!container) return '';
    const logs = await container.logs();
    // The log is followed; what has been said so far is what counts.
    setTimeout(() => logs.destroy(), 500);
    let said = '';
    logs.on('data', (chunk: Buffer | string) => {
      said += chunk.toString();
    });
    await new Promise((resolve) => logs.once('close', resolve).once('end', resolve));
    return said;
  }

  /**
   * The media counters that the bridge reports at a call's end. Throws an Error if there is no
   * report within 5 s.
   */
  async figures(callId: string): Promise<Figures> {
    let figures: Figures | undefined;
    await until(`the bridge has logged the end of ${callId}`, FIGURES_LIMIT_MS, async () => {
      const lines = (await this.logs('bridge')).split('\n');
      const ended = lines.find((line) => line.includes('"call ended"') && line.includes(`"${callId}"`));
      figures = ended === undefined ? undefined : (JSON.parse(ended) as { figures: Figures }).figures;
      return figures !== undefined;
    });
    return figures as unknown as Figures;
  }

  /** Runs a command in a container, for its output. */
  async exec(part: Part, command: string[]): Promise<string> {
    return (await this.#containers.get(part)?.exec(command))?.output ?? '';
  }

  /** Status and body of the bridge's `/readyz`. */
  async readiness(): Promise<{ status: number; body: string }> {
    const url = `http://${LOCALHOST}:${this.ports.http}/readyz`;
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    return { status: response.status, body: await response.text() };
  }

  /** Resolves when the bridge is ready; throws an Error with its reasons after 30 s. */
  async ready(): Promise<void> {
    await until('the bridge is ready', READY_LIMIT_MS, async () => (await this.readiness()).status === 200);
  }

  /** A metric of the bridge without labels. */
  async metric(name: string): Promise<number | undefined> {
    return (await readMetrics(this.ports))[name];
  }

  /** Ends and removes all containers. */
  async stop(): Promise<void> {
    try {
      await Promise.all([...this.#containers.keys()].map((part) => this.stopPart(part)));
      await removeOrphans();
    } finally {
      this.#turn[Symbol.dispose]();
    }
  }
}

/** An id for a call that no other has. */
export function newCallId(about: string): string {
  return `${about}-${randomUUID().slice(0, 8)}`;
}

/**
 * Polls until `condition` holds. After `limitMs` throws an Error that names it. An error of the
 * condition counts as false.
 */
export async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + limitMs;
  let last: unknown;
  for (;;) {
    const holds = await condition().catch((error: unknown) => {
      last = error;
      return false;
    });
    if (holds) return;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`, { cause: last });
    await sleep(POLL_MS);
  }
}

let cleansUp = false;

function cleanUpOnSignal(): void {
  if (cleansUp) return;
  cleansUp = true;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void removeOrphans().finally(() => process.exit(130)));
  }
}
