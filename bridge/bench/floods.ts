/**
 * Floods of a bot beside a normal call: `node bench/floods.ts [SECONDS [FLOOD]]` (default: 8 s for
 * each flood; all floods). Starts a bridge with one media worker, a fake Asterisk and a fake bot.
 * Prints for each flood: how many packets of the normal call came within 40 ms of the one before,
 * the longest gap, what happened to the flooding bot, the media thread's share of a core
 * (independent of other work on the machine), and the bridge's memory. With TLS=1 the bot is
 * reached by wss.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeAri } from '../test/fake-ari.ts';
import { type BotSession, FakeBot } from '../test/fake-bot.ts';
import { until } from '../test/harness.ts';

const seconds = Number(process.argv[2] ?? 8);
const CHUNK_BYTES = 262_144;
const BACKLOG_BYTES = 1_048_576;
/** Clock ticks a second of /proc (proc_pid_stat(5)). */
const TICKS_PER_S = 100;

function frame(first: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeUIntBE(length, 4, 6);
  return Buffer.concat([head, bytes]);
}

const text = (message: object | string): Buffer =>
  frame(0x81, typeof message === 'string' ? message : JSON.stringify(message));
/** As often as it fits into a chunk. */
const many = (bytes: Buffer): Buffer =>
  Buffer.concat(Array<Buffer>(Math.max(1, Math.floor(CHUNK_BYTES / bytes.length))).fill(bytes));

const floods: Readonly<Record<string, Buffer>> = {
  clear: many(text({ event: 'clear' })),
  'mark, unread': many(text({ event: 'mark', name: 'm'.repeat(200) })),
  transfer: many(text({ event: 'transfer', to: '+4930999' })),
  dtmf: many(text({ event: 'dtmf', digits: '1' })),
  recording: many(text({ event: 'recording', state: 'pause' })),
  'nested JSON of 4 MB': text('['.repeat(4_000_000)),
  'nested JSON of 60 kB': many(text('['.repeat(60_000))),
  'media of 3 MB': text({ event: 'media', payload: 'A'.repeat(3_000_000) }),
  'a frame of 60 MB': frame(0x81, Buffer.alloc(60_000_000, 0x20)),
  'tiny messages': many(text('1')),
  'tiny media': many(text({ event: 'media', payload: 'AAAA' })),
  'tiny fragments': Buffer.concat([frame(0x01, '1'), many(frame(0x00, '1'))]),
  pings: many(frame(0x89, '')),
  'compressed frames': many(frame(0xc1, '1')),
  // Written byte by byte.
  'one byte at a time': text({ event: 'media', payload: 'A'.repeat(2_000) }),
  'masked frames': many(Buffer.concat([Buffer.of(0x81, 0x81, 1, 2, 3, 4), Buffer.of(49)])),
};

const ari = await FakeAri.start();
const folder = mkdtempSync(join(tmpdir(), 'floods-'));
const bot = await FakeBot.start(process.env.TLS === '1' ? certificate() : undefined);
const bridge = spawn(process.execPath, [new URL('../src/main.ts', import.meta.url).pathname], {
  env: {
    ...process.env,
    ARI_URL: `http://127.0.0.1:${ari.port}`, ARI_USERNAME: 'pipecat', ARI_PASSWORD: 'right',
    PIPECAT_URL: bot.url, HTTP_PORT: '0', MEDIA_WORKERS: '1', BOT_RECONNECT_MS: '0', MEDIA_TIMEOUT_MS: '0',
    RTP_PORT_MIN: '48200', RTP_PORT_MAX: '48299', LOG_LEVEL: 'info',
    ...(process.env.TLS === '1' ? { PIPECAT_CA_FILE: join(folder, 'pem') } : {}),
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let log = '';
bridge.stdout.on('data', (bytes) => {
  log += bytes;
});
await until(() => log.includes('ARI connected'), 'the bridge');

/** The bot's own, which is its authority too. */
function certificate(): { key: string; cert: string } {
  const key = join(folder, 'key');
const cert = join(folder, 'pem');
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=bot'];
  const address = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...address, '-keyout', key, '-out', cert], { stdio: 'pipe' });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

/** Seconds that the media thread has worked. */
function mediaCpuS(): number {
  const tasks = `/proc/${bridge.pid}/task`;
  const stat = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/stat`, 'utf8')).find((text) => text.includes('(media)'));
  // Behind the name: user and system time are the fourteenth and fifteenth field.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

const rssMb = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${bridge.pid}/status`, 'utf8'))?.[1]) / 1024;

async function call(): Promise<{ channelId: string; session: BotSession }> {
  const index = bot.sessions.length;
  const channel = ari.inbound();
  const session = await until(() => bot.sessions[index], 'a session');
  await until(() => session.of('answered').length > 0, 'answered');
  return { channelId: channel.id, session };
}

/**
 * Share of packets since `from` that came within 40 ms of the one before, and the longest gap, ms.
 */
function pacing(channelId: string, from: number, expected: number): { share: number; longestMs: number } {
  const heard = ari.mediaOf(channelId).heard.slice(from);
  const gaps = heard.slice(1).map(({ atMs }, i) => atMs - (heard[i]?.atMs ?? atMs));
  const good = gaps.filter((gap) => gap <= 40).length;
  return { share: Math.min(1, good / Math.max(expected, gaps.length)), longestMs: Math.max(0, ...gaps) };
}

async function measure(name: string, flood: Buffer | undefined): Promise<void> {
  const from = ari.mediaOf(normal.channelId).heard.length;
  const begin = performance.now();
  const cpuS = mediaCpuS();
  let peakMb = 0;
  let fate = '';
  let written = 0;
  const flooder = flood === undefined ? undefined : await call();
  if (name.includes('unread')) flooder?.session.stopReading();
  const timer = setInterval(() => {
    peakMb = Math.max(peakMb, rssMb());
    const { session } = flooder ?? {};
    if (session === undefined || flood === undefined || session.closed !== undefined) return;
    if (name.startsWith('one byte')) {
      for (let i = 0; i < 100 && session.backlogBytes < BACKLOG_BYTES; i++) session.write(flood.subarray(written % flood.length, (written++ % flood.length) + 1));
      return;
    }
    for (let i = 0; i < 16 && session.backlogBytes < BACKLOG_BYTES; i++) session.write(flood);
  }, 5);
  await delay(seconds * 1_000);
  clearInterval(timer);
  const { share, longestMs } = pacing(normal.channelId, from, (performance.now() - begin) / 20 - 2);
  if (flooder !== undefined) {
    flooder.session.resumeReading();
    fate = flooder.session.closed === undefined ? 'still open' : `closed ${flooder.session.closed}`;
    if (flooder.session.closed === undefined) flooder.session.cut();
    ari.hangUp(flooder.channelId);
    flooder.session.events.length = 0;
  }
  await delay(1_500);
  const figures = [`${(share * 100).toFixed(1)} %`, `${longestMs.toFixed(0)} ms`, fate, `${(((mediaCpuS() - cpuS) / (performance.now() - begin)) * 1e5).toFixed(0)} %`, peakMb.toFixed(0), rssMb().toFixed(0)];
  process.stdout.write(`| ${[name, ...figures].join(' | ')} |\n`);
}

const normal = await call();
process.stdout.write('| flood | within 40 ms | longest gap | flooding bot | media thread | RSS at most, MB | RSS 1.5 s later, MB |\n|---|---|---|---|---|---|---|\n');
await measure('none (baseline)', undefined);
const only = process.argv[3];
for (const [name, flood] of Object.entries(floods)) if (only === undefined || name === only) await measure(name, flood);
await measure('none (after all)', undefined);
bridge.kill('SIGKILL');
await once(bridge, 'exit');
await bot.close();
await ari.close();
rmSync(folder, { recursive: true });
process.exit(0);
