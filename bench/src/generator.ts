/**
 * The load generator (`load/generator.c`) seen from here: its commands, its figures, and whether
 * they are valid.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { argumentsOf, type Child, readUsage, startPinned, type Usage } from './process.ts';

/** A distribution in ms; without samples only `n`. */
export interface Distribution {
  readonly n: number;
  readonly p50?: number;
  readonly p95?: number;
  readonly p99?: number;
  readonly p999?: number;
  readonly max?: number;
}

/** One way (`up`: phone to bot, `down`: bot to phone), all calls, within the window. */
export interface WayFigures {
  /**
   * Up: from the packet's sending. Down: from the message's sending, or from the time when audio
   * sent ahead is due.
   */
  readonly latencyMs: Distribution;
  /** |spacing of consecutive packets - 20 ms|; down only. */
  readonly pacingMs: Distribution;
  /**
   * How late packets are against the fastest one, by RTP timestamps: shows drift, which spacing
   * does not show. Down only.
   */
  readonly variationMs: Distribution;
  readonly sent: number;
  readonly arrived: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly corrupt: number;
  /** Pauses of more than 40 ms that the sender did not make. */
  readonly gaps: number;
  readonly rtpLost: number;
  /** Timestamp jumps without a marker bit. */
  readonly rtpJumps: number;
  /** Packets without a mark: silence. */
  readonly silent: number;
}

/**
 * What the generator reports. Distributions and counts are of those seconds in which its send clock
 * was punctual.
 */
export interface GeneratorReport {
  readonly seconds: number;
  readonly soundSeconds: number;
  readonly up: WayFigures;
  readonly down: WayFigures;
  /** By call, when it was first heard, in ms since 1970; 0: never. */
  readonly firstUpMs: readonly number[];
  readonly firstDownMs: readonly number[];
  /**
   * Mode `clear`: from the bot's `clear` to the last packet at the phone with audio from before it.
   */
  readonly clearMs: Distribution;
  /** Of the send clock, in all seconds. */
  readonly latenessMs: Distribution;
}

/** How the bot speaks. */
export type Mode = 'echo' | 'burst' | 'fast' | 'steps' | 'clear';

/** What a generator is to play. */
export interface GeneratorOptions {
  readonly cpus: string;
  readonly calls: number;
  readonly mode: Mode;
  readonly botPort: number;
  readonly phonePort: number;
  /**
   * Calls that share a port have an address each: the first call has this address, the others the
   * following ones.
   */
  readonly phoneAddress: string;
  readonly callsPerSocket: number;
}

const PROGRAM = process.env.BENCH_GENERATOR ?? 'generator';
const ANSWER_MS = 10_000;
/**
 * If more seconds of its window are excluded, or a core is busier than this, the figures describe
 * the generator more than the bridge.
 */
const SOUND_SHARE_MIN = 0.5;
const LOAD_PERCENT = 92;

/** A running load generator. */
export class Generator {
  readonly child: Child;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: Child) {
    this.child = child;
    if (child.process.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: child.process.stdout })[Symbol.asyncIterator]();
  }

  /** Starts it; resolves when its ports are open. */
  static async start(options: GeneratorOptions): Promise<Generator> {
    const { cpus, calls, mode, botPort, phonePort, phoneAddress, callsPerSocket } = options;
    const child = startPinned(cpus, [
      PROGRAM,
      ...argumentsOf({
        calls,
        mode,
        'bot-port': botPort,
        'phone-port': phonePort,
        'phone-address': phoneAddress,
        'calls-per-socket': callsPerSocket,
      }),
    ]);
    const generator = new Generator(child);
    await generator.#answer();
    return generator;
  }

  /** Where the bridge takes a call's RTP. */
  peer(call: number, port: number): void {
    this.#say(`peer ${call} ${port}`);
  }

  /** The call's RTP begins. */
  startCall(call: number): void {
    this.#say(`start ${call}`);
  }

  /** The call's RTP ends. */
  stopCall(call: number): void {
    this.#say(`stop ${call}`);
  }

  /** The window: what is sent, or due, in `seconds` from `settleSeconds` on. */
  measure(settleSeconds: number, seconds: number): void {
    this.#say(`measure ${settleSeconds} ${seconds}`);
  }

  /** RTP and bots fall silent. */
  hush(): void {
    this.#say('hush');
  }

  /** Calls that were heard so far, each way. */
  async status(): Promise<{ up: number; down: number }> {
    this.#say('status');
    return JSON.parse(await this.#answer());
  }

  /** The figures; the generator ends. */
  async report(): Promise<GeneratorReport> {
    const exit = once(this.child.process, 'exit');
    const stopped = this.child.stop;
    this.#say('report');
    const report = JSON.parse(await this.#answer());
    await exit;
    await stopped();
    return report;
  }

  #say(line: string): void {
    this.child.process.stdin?.write(`${line}\n`);
  }

  async #answer(): Promise<string> {
    const limit = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error('the generator does not answer')), ANSWER_MS).unref();
    });
    const line = await Promise.race([this.#lines.next(), this.child.died, limit]);
    if (line.done) throw new Error('the generator has ended');
    return line.value;
  }
}

/** Share of one core between two readings, in %. */
export function loadPercent(before: Usage, after: Usage): number {
  return (100 * (after.cpuMs - before.cpuMs)) / (after.atMs - before.atMs);
}

/** Why the generator's figures cannot be trusted; `undefined` where they can. */
export function whyRefused(
  { seconds, soundSeconds, latenessMs }: Pick<GeneratorReport, 'seconds' | 'soundSeconds' | 'latenessMs'>,
  ownLoadPercent: number,
): string | undefined {
  if (soundSeconds < seconds * SOUND_SHARE_MIN) {
    const { p99 = 0, max = 0 } = latenessMs;
    return `the generator sent late in ${seconds - soundSeconds} of ${seconds} seconds (p99 ${p99.toFixed(1)} ms, at most ${max.toFixed(1)} ms)`;
  }
  if (ownLoadPercent > LOAD_PERCENT) {
    return `the generator's own core was full: ${ownLoadPercent.toFixed(0)} % (limit ${LOAD_PERCENT})`;
  }
  return undefined;
}

/** The generator's own use so far. */
export const generatorUsage = (generator: Generator): Usage => readUsage([generator.child.pid]);
