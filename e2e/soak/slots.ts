/** The two bridges of a soak run, of which one takes the new calls. */
import type { StartedTestContainer } from 'testcontainers';
import { BridgeApi } from '../hands/bridge-api.ts';
import {
  containerEnded,
  type Environment,
  pauseContainer,
  resumeContainer,
  SECRETS,
  signalContainer,
  startAgain,
  startBridge,
} from '../stack/containers.ts';
import { readMetrics } from '../stack/leaks.ts';
import { LOCALHOST, PORTS, type Ports } from '../stack/ports.ts';
import { until } from '../stack/stack.ts';
import type { LiveCall } from './census.ts';
import type { EndRecord } from './verdict.ts';

const OTHER_PORTS: Ports = { ...PORTS, http: 28_190, rtpMin: 28_200, rtpMax: 28_999 };
const READY_LIMIT_MS = 60_000;
const REQUEST_MS = 5_000;
const PAGE = 500;

/** A call of the API's list. */
export type ListedCall = LiveCall & EndRecord;

/** A container for one bridge. */
export class Slot {
  readonly ports: Ports;
  readonly api: BridgeApi;
  readonly #environment: Environment;
  #container: StartedTestContainer | undefined;
  #isUp = false;
  /** Counts the processes so far. */
  processes = 0;

  constructor(ports: Ports, environment: Environment) {
    this.ports = ports;
    this.api = new BridgeApi(ports);
    this.#environment = environment;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  async start(): Promise<void> {
    this.processes += 1;
    if (this.#container === undefined) this.#container = await startBridge(this.ports, this.#environment);
    else await startAgain(this.#container);
    this.#isUp = true;
  }

  /** Sends a signal, and for one that ends the process waits for that. */
  async signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGUSR2'): Promise<void> {
    const container = this.#running;
    if (name !== 'SIGUSR2') this.#isUp = false;
    await signalContainer(container, name);
    if (name !== 'SIGUSR2') await containerEnded(container);
  }

  /** Has the process stand still for this time. */
  async standStill(wait: () => Promise<unknown>): Promise<void> {
    const container = this.#running;
    await pauseContainer(container);
    try {
      await wait();
    } finally {
      await resumeContainer(container);
    }
  }

  /** Resolves when it takes calls. */
  async ready(): Promise<void> {
    await until(`the bridge at ${this.ports.http} is ready`, READY_LIMIT_MS, async () => {
      const url = `http://${LOCALHOST}:${this.ports.http}/readyz`;
      return (await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) })).status === 200;
    });
  }

  /** Its metrics without labels. */
  metrics(): Promise<Record<string, number>> {
    return readMetrics(this.ports);
  }

  /** All calls of the records that fit, newest first. */
  async calls(query = ''): Promise<ListedCall[]> {
    const all: ListedCall[] = [];
    let cursor = '';
    do {
      const path = `/calls?limit=${PAGE}${query}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
      const response = await fetch(`http://${LOCALHOST}:${this.ports.http}${path}`, {
        headers: { authorization: `Bearer ${SECRETS.apiToken}` },
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      const page = (await response.json()) as { calls: ListedCall[]; nextCursor?: string };
      all.push(...page.calls);
      cursor = page.nextCursor ?? '';
    } while (cursor !== '');
    return all;
  }

  /** Runs a command beside it, for its output. */
  async exec(command: string[]): Promise<string> {
    return (await this.#running.exec(command)).output;
  }

  /** Everything that its processes have logged. */
  async logs(): Promise<string> {
    if (this.#container === undefined) return '';
    const stream = await this.#container.logs();
    // The log is followed; what has been said so far is what counts.
    setTimeout(() => stream.destroy(), 1_000);
    let said = '';
    stream.on('data', (chunk: Buffer | string) => (said += chunk.toString()));
    await new Promise((resolve) => stream.once('close', resolve).once('end', resolve));
    return said;
  }

  get #running(): StartedTestContainer {
    if (this.#container === undefined) throw new Error('this bridge was never started');
    return this.#container;
  }
}

/** Both. */
export class Slots {
  readonly all: readonly [Slot, Slot];
  #current = 0;

  constructor(environment: Environment) {
    this.all = [new Slot(PORTS, environment), new Slot(OTHER_PORTS, environment)];
  }

  /** The one that takes the new calls. */
  get current(): Slot {
    return this.all[this.#current % 2] as Slot;
  }

  get other(): Slot {
    return this.all[(this.#current + 1) % 2] as Slot;
  }

  /** The other one takes the new calls from now on. */
  swap(): void {
    this.#current += 1;
  }

  /** A request about one call: one of the two has it. Undefined if none carries it out. */
  async about(method: string, path: string, body?: unknown): Promise<number | undefined> {
    for (const slot of [this.current, this.other]) {
      if (!slot.isUp) continue;
      const status = await slot.api.request(method, path, body).then(
        (answer) => answer.status,
        () => undefined,
      );
      if (status !== undefined && status < 300) return status;
    }
    return undefined;
  }
}
