/** Runs SIPp and tcpdump for one `call`. The only file here that starts processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeAlaw, encodeUlaw, tone } from '../mock-pipecat/src/tones.ts';
import { type CallOptions, placesCalls } from './options.ts';
import { fillScenario } from './scenario.ts';

/** What SIPp and the capture left. */
export interface Recording {
  /** SIPp's exit code: 0 = every call went as the scenario says. */
  exitCode: number;
  /** SIPp's message log. */
  messageLog: string;
  /** SIPp's own words about what went wrong; empty when nothing did. */
  errors: string;
  /** The capture file. */
  capture: Uint8Array;
}

const RTP_PORT_MIN = 40_000;
const RTP_PORT_MAX = 49_998;
const REALM = 'provider';
const DTMF_PAYLOAD_TYPE = 101;
/** Length of a digit, and of the pause after it. */
const DIGIT_MS = 120;
const LAST_PACKETS_MS = 100;
const SETUP_LIMIT_S = 45;
const SCENARIOS = new URL('scenarios/', import.meta.url);

/**
 * Runs the scenario to its end (with a time limit) in a scratch directory of its own, which it
 * removes.
 */
export async function record(options: CallOptions, signal: AbortSignal): Promise<Recording> {
  const directory = await mkdtemp(join(tmpdir(), 'call-'));
  try {
    await writeFile(join(directory, 'audio.raw'), makeAudio(options));
    await writeFile(
      join(directory, 'scenario.xml'),
      await makeScenario(options, join(directory, 'audio.raw')),
    );
    const capture = await startCapture(options, join(directory, 'rtp.pcap'), signal);
    const sipp = spawn('sipp', sippArguments(options, directory), {
      cwd: directory,
      signal,
      stdio: 'ignore',
    });
    const exitCode = await ended(sipp);
    await new Promise((resolve) => setTimeout(resolve, LAST_PACKETS_MS));
    capture.kill('SIGINT');
    await ended(capture);
    const read = (name: string) => readFile(join(directory, name)).catch(() => new Uint8Array());
    return {
      exitCode,
      messageLog: new TextDecoder().decode(await read('messages.log')),
      errors: new TextDecoder().decode(await read('errors.log')),
      capture: await read('rtp.pcap'),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Silence, then a tone, as G.711 bytes; SIPp plays it round and round. */
function makeAudio(options: CallOptions): Uint8Array {
  const encode = options.codec === 'pcma' ? encodeAlaw : encodeUlaw;
  const quiet = new Int16Array(options.quietMs * 8);
  // Steady sound is one second, so that it meets itself without a click.
  const speech = tone(options.toneHz, options.quietMs === 0 ? 1000 : options.speakMs, 8000);
  return Buffer.concat([encode(quiet), encode(speech)]);
}

async function makeScenario(options: CallOptions, audio: string): Promise<string> {
  const parts = new Map<string, string>();
  for (const name of [
    'ack',
    'bye',
    'invite',
    'offered',
    'ok',
    'progress',
    'refused',
    'ringing',
    'sdp',
    'talk',
  ]) {
    parts.set(name, await readFile(new URL(`parts/${name}.xml`, SCENARIOS), 'utf8'));
  }
  const template = await readFile(new URL(`${options.scenario}.xml`, SCENARIOS), 'utf8').catch(() => {
    throw new Error(`--scenario: there is no ${options.scenario}`);
  });
  const callId = options.calls === 1 ? options.callId : `${options.callId}-[call_number]`;
  const headers = [`X-Call-ID: ${callId}`, ...options.headers];
  const digitsAfterMs = options.digits === '' ? 1 : options.digitsAfterMs;
  const digitsMs = Math.max(1, options.digits.length * 2 * DIGIT_MS);
  return fillScenario(template, (name) => parts.get(name) ?? '', {
    to: options.to,
    from: options.from,
    audio,
    ringMs: options.ringMs,
    status: options.status,
    referTo: options.referTo,
    referStatus: options.referStatus,
    notifyStatus: options.notifyStatus,
    holdMs: options.holdMs,
    afterRefer: options.referStatus < 300 ? 'notify' : 'talk',
    username: options.username,
    password: options.password,
    realm: REALM,
    // For tags and branches. SIPp makes its own from the process id, which is the same in every
    // container: Asterisk takes a second call's BYE for a retransmission of the first call's.
    run: randomUUID(),
    requestUser: options.requestUser || options.to,
    ...patience(options),
    headers: headers.map((header) => `${header}\n`).join(''),
    payloadType: options.codec === 'pcma' ? 8 : 0,
    codec: options.codec.toUpperCase(),
    digitsAfterMs,
    playDigits:
      options.digits === ''
        ? ''
        : // SIPp's digits have an SSRC of their own. If packets of another SSRC come between the
          // last packets of a digit, Asterisk takes each of these for a digit. So SIPp sends no
          // audio meanwhile, like a telephone.
          `<action><exec rtp_stream="pause"/><exec play_dtmf="${options.digits},${DIGIT_MS},${DTMF_PAYLOAD_TYPE}"/></action>`,
    digitsMs,
    talkOn: options.digits === '' ? '' : '<action><exec rtp_stream="resume"/></action>',
    talkMs: Math.max(1, Math.round(options.seconds * 1000) - digitsAfterMs - digitsMs),
  });
}

/**
 * SIPp restarts a wait's time limit after each provisional response; before the first one a CANCEL
 * is not allowed (RFC 3261, 9.1).
 */
function patience(options: CallOptions): Record<string, string | number> {
  if (options.scenario === 'caller-gives-up')
    return { patienceMs: options.giveUpMs, outOfPatience: 'cancel' };
  return { patienceMs: SETUP_LIMIT_S * 1000, outOfPatience: 'end' };
}

function sippArguments(options: CallOptions, directory: string): string[] {
  const places = placesCalls(options);
  const talkS = Math.ceil(options.seconds + options.calls / options.callsPerSecond);
  return [
    ...(places ? [`${options.sip.address}:${options.sip.port}`] : []),
    '-sf',
    join(directory, 'scenario.xml'),
    '-nostdin',
    '-aa',
    // SIPp makes a Call-ID from the process id, which is the same in every container: one call
    // would be taken for another.
    '-cid_str',
    `%u-${randomUUID()}@%s`,
    '-i',
    options.local.address,
    '-mi',
    options.local.address,
    '-bind_local',
    ...(options.local.port === 0 ? [] : ['-p', `${options.local.port}`]),
    '-min_rtp_port',
    `${RTP_PORT_MIN}`,
    '-max_rtp_port',
    `${RTP_PORT_MAX}`,
    '-random_base_ssrc',
    // A message that crosses one of ours is no reason to forget a call that Asterisk still has.
    '-default_behaviors',
    'all,-abortunexp',
    '-m',
    `${options.calls}`,
    '-l',
    `${options.calls}`,
    '-r',
    `${options.callsPerSecond}`,
    '-timeout',
    `${talkS + (places ? SETUP_LIMIT_S : options.waitSeconds)}s`,
    '-timeout_error',
    '-trace_msg',
    '-message_file',
    join(directory, 'messages.log'),
    '-trace_err',
    '-error_file',
    join(directory, 'errors.log'),
  ];
}

async function startCapture(options: CallOptions, file: string, signal: AbortSignal): Promise<ChildProcess> {
  const filter = `udp and host ${options.local.address} and portrange ${RTP_PORT_MIN}-${RTP_PORT_MAX + 1}`;
  const args = ['-i', 'any', '-n', '-s', '400', '-B', '8192', '--immediate-mode', '-U', '-w', file, filter];
  const capture = spawn('tcpdump', args, { signal, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const fail = () =>
      reject(new Error(`no capture (is CAP_NET_RAW given to the container?): ${said.trim()}`));
    capture.once('error', fail).once('exit', fail);
    capture.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('listening on')) resolve();
    });
  });
  return capture;
}

async function ended(child: ChildProcess): Promise<number> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? 1;
}
