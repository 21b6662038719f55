import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { loadConfig } from '../src/config/environment.ts';
import type { Reload } from '../src/control/reloading.ts';
import { type Daemon, startDaemon } from '../src/daemon.ts';
import type { MakeWorker } from '../src/media/make-worker.ts';
import { FakeAri } from './fake-ari.ts';
import { type BotSession, FakeBot } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { makeWarmStore, makeWarmWorker } from './warm-workers.ts';

/** Only a test that fails waits so long; a busy machine may need a part of it. */
const WAIT_MS = 20_000;
const POLL_MS = 2;
/** Room for ten calls a daemon; another process's port in it is passed over by the bridge. */
const RTP_PORTS = 20;
/**
 * Above the ephemeral ports of the system. Test files that run at the same time have separate
 * ranges.
 */
const FIRST_RTP_PORT = 61_000 + (process.pid % 10) * 440;
let nextRtpPort = FIRST_RTP_PORT;

/** One line of the bridge's log. */
export type LogLine = { readonly level: number; readonly msg: string } & Readonly<Record<string, unknown>>;

/**
 * Resolves with the value of `condition` as soon as it is neither false nor undefined; rejects
 * after `limitMs`.
 */
export async function until<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  what: string,
  limitMs = WAIT_MS,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error(`did not happen within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * `frames` frames of audio, each 20 ms different, so that a lost, doubled or moved frame shows.
 * Never silence.
 */
export function speech(frames: number, seed = 0): Buffer {
  return Buffer.from(
    Array.from({ length: frames * 160 }, (_, i) => ((i * 7 + (i >> 7) * 13 + seed * 31) % 120) + 1),
  );
}

/** Environment of a test's daemon: fast where the product waits by design. */
function environment(ari: FakeAri, bot: FakeBot): Record<string, string> {
  const min = nextRtpPort;
  nextRtpPort = min + RTP_PORTS < FIRST_RTP_PORT + 440 ? min + RTP_PORTS : FIRST_RTP_PORT;
  return {
    ARI_URL: `http://127.0.0.1:${ari.port}`,
    ARI_USERNAME: 'pipecat',
    ARI_PASSWORD: 'right',
    ARI_TIMEOUT_MS: '5000',
    PIPECAT_URL: bot.url,
    BOT_CONNECT_MS: '5000',
    BOT_RECONNECT_MS: '5000',
    FIRST_AUDIO_MS: '400',
    RTP_PORT_MIN: String(min),
    RTP_PORT_MAX: String(min + RTP_PORTS - 1),
    PLAYOUT_PREBUFFER_MS: '0',
    HTTP_PORT: '0',
    CALLBACK_SECRET: 'callback-secret',
    SHUTDOWN_MS: '300',
    // Many tests run at once: their machine is late by itself.
    OVERLOAD_LOOP_MS: '0',
    OVERLOAD_LATE_PERCENT: '0',
  };
}

/** Settings of a test, beyond the usual ones. */
export interface LabOptions {
  readonly config?: Record<string, string>;
  readonly ari?: FakeAri;
  readonly bot?: FakeBot;
  /** Makes the media workers. */
  readonly make?: MakeWorker;
  /** The daemon is not waited for until it has ARI. */
  readonly noWait?: boolean;
}

/**
 * The real daemon between a fake Asterisk and a fake bot. At the end of the test all of it is
 * closed, and the test fails if something leaked.
 */
export class Lab {
  readonly ari: FakeAri;
  readonly bot: FakeBot;
  readonly logs: LogLine[] = [];
  /** Set by files whose tests end media workers: these are new threads then, as in the product. */
  static endsThreads = false;
  static readonly #running = new Set<Lab>();
  #daemon: Daemon | undefined;
  #environment: Readonly<Record<string, string>> = {};
  #stopped = false;

  private constructor(ari: FakeAri, bot: FakeBot) {
    this.ari = ari;
    this.bot = bot;
  }

  static async start(t: TestContext, options: LabOptions = {}): Promise<Lab> {
    const ari = options.ari ?? (await FakeAri.start());
    const bot = options.bot ?? (await FakeBot.start());
    const lab = new Lab(ari, bot);
    Lab.#running.add(lab);
    // Node's own types do not know it yet.
    t.after(() => lab.#end(Boolean((t as { error?: Error | null }).error)));
    lab.#environment = { ...environment(ari, bot), ...options.config };
    const config = loadConfig(lab.#environment);
    const log = pino(
      { level: 'debug', base: null },
      { write: (line: string) => lab.logs.push(JSON.parse(line)) },
    );
    const threads = Lab.endsThreads ? {} : { media: makeWarmWorker, records: makeWarmStore };
    lab.#daemon = await startDaemon(config, log, {
      ...threads,
      ...(options.make === undefined ? {} : { media: options.make }),
    });
    if (!options.noWait) await until(() => lab.logged('ARI connected')[0], 'ARI connected');
    return lab;
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('not started');
    return this.#daemon;
  }

  /** Applies these settings, beside those of the start, while the daemon runs. */
  async reload(config: Readonly<Record<string, string>> = {}): Promise<Reload> {
    return await this.daemon.reload(() => loadConfig({ ...this.#environment, ...config }));
  }

  /** Has the daemon keep to the provider files of Asterisk. */
  followAsterisk(everyMs: number): void {
    this.daemon.followAsterisk(() => loadConfig(this.#environment), everyMs);
  }

  /** Log lines with this text. */
  logged(message: string): LogLine[] {
    return this.logs.filter(({ msg }) => msg === message);
  }

  /** The bot's nth connection, as soon as it is there and has had its `start`. */
  async session(index = 0): Promise<BotSession> {
    return await until(
      () => this.bot.sessions[index]?.of('start').length === 1 && this.bot.sessions[index],
      `bot session ${index}`,
    );
  }

  /** An inbound call that is up and relayed. */
  async call(
    options: Parameters<FakeAri['inbound']>[0] = {},
  ): Promise<{ channel: FakeChannel; session: BotSession }> {
    const index = this.bot.sessions.length;
    const channel = this.ari.inbound(options);
    const session = await this.session(index);
    await until(() => session.of('answered').length > 0, 'answered');
    return { channel, session };
  }

  /** The log line of a call's end. */
  async ended(index = 0): Promise<LogLine & { reason: { kind: string; detail?: string } }> {
    return (await until(() => this.logged('call ended')[index], `end of call ${index}`)) as never;
  }

  /** Path of the bridge's HTTP interface: status and body. */
  async get(path: string): Promise<{ status: number; body: string }> {
    const response = await fetch(`http://127.0.0.1:${this.daemon.httpPort}${path}`);
    return { status: response.status, body: await response.text() };
  }

  /** A metric's value; its labels, if any, belong to the name. */
  async metric(name: string): Promise<number> {
    const { body } = await this.get('/metrics');
    const line = body.split('\n').find((text) => text.startsWith(`pipecat_bridge_${name} `));
    return Number(line?.split(' ').at(-1));
  }

  /** The daemon is told to stop. Resolves when it is to end. */
  async stopped(): Promise<string> {
    this.daemon.departure.stop();
    return await this.daemon.departure.way();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    Lab.#running.delete(this);
    await this.#daemon?.stop();
  }

  /**
   * A failed test leaves channels and bridges behind, which is not a second fault. An error thrown
   * here would stop the other hooks of the test.
   */
  async #end(hasFailed: boolean): Promise<void> {
    try {
      if (this.#daemon !== undefined && !this.#stopped && !hasFailed) await this.#assertIdle();
    } finally {
      if (!this.#stopped) await this.stop();
      await this.bot.close();
      await this.ari.close();
    }
    if (hasFailed) return;
    try {
      await this.#assertNothingLeft();
      for (const port of this.ari.bridgePorts) await assertFree(port);
    } catch (error) {
      // Node calls none of a test's other ends then: another lab would keep the file from ending.
      for (const other of Lab.#running) await other.stop();
      throw error;
    }
  }

  async #assertIdle(): Promise<void> {
    const gauges = ['calls_active', 'bot_connections', 'rtp_ports_in_use'];
    let busy = '';
    const idle = async () => {
      const values = await Promise.all(gauges.map((gauge) => this.metric(gauge)));
      busy = gauges.filter((_, i) => values[i] !== 0).join();
      return busy === '';
    };
    await until(idle, 'gauges at zero').catch((error) => assert.fail(`${error.message} (${busy})`));
  }

  async #assertNothingLeft(): Promise<void> {
    assert.deepEqual(
      [...this.ari.bridges.keys()].filter((id) => id.startsWith('pcb-')),
      [],
      'mixing bridges left',
    );
    assert.deepEqual(
      [...this.ari.channels.keys()].filter((id) => id.startsWith('pcm-')),
      [],
      'media channels left',
    );
    // By number: the difference between sessions with thousands of messages takes minutes to draw.
    const open = () => this.bot.sessions.filter(({ closed }) => closed === undefined).length;
    // The bot, which several labs may share, learns of an end a little later than the bridge.
    await until(() => open() === 0, 'bot sockets closed').catch(() =>
      assert.equal(open(), 0, 'bot sockets left'),
    );
    assert.deepEqual(
      this.logs.filter(({ level }) => level >= 60),
      [],
      'fatal log lines',
    );
  }
}

/** The port can be opened, if need be after another process has let it go. */
async function assertFree(port: number): Promise<void> {
  const isFree = async (): Promise<boolean> => {
    const socket = createSocket('udp4');
    try {
      socket.bind({ address: '127.0.0.1', port, exclusive: true });
      await once(socket, 'listening');
      return true;
    } catch {
      return false;
    } finally {
      socket.close();
    }
  };
  await until(isFree, `UDP port ${port} is closed`);
}
