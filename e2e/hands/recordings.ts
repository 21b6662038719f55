/** The bridge's recordings, and what is to be heard in them. */

import { dominantTone } from '../mock-pipecat/src/tones.ts';
import { RECORDINGS_PATH } from '../stack/containers.ts';
import type { Stack } from '../stack/stack.ts';

/** A stereo file: the caller left, the bot right. */
export interface Recording {
  readonly sampleRate: number;
  readonly left: Int16Array;
  readonly right: Int16Array;
}

/** A stretch of sound between silences, in ms from the beginning of the file. */
export interface Burst {
  /** Its tone; undefined where it is none. */
  readonly hz: number | undefined;
  readonly fromMs: number;
  readonly toMs: number;
}

const HEADER_BYTES = 44;
/** What is louder is sound; G.711's silence is not. */
const SOUND = 400;
/** So long a silence ends a burst; a shorter one is a tick that the bridge missed. */
const SILENCE_MS = 100;
/** Shorter ones are clicks. */
const BURST_MIN_MS = 20;

/** Names of the files there are, the oldest first. */
export async function recordingNames(stack: Stack): Promise<string[]> {
  const listed = await stack.exec('bridge', ['ls', RECORDINGS_PATH]);
  return listed.split('\n').filter((name) => name.endsWith('.wav'));
}

/** Reads a recording. Throws an Error for a file whose header does not fit what is in it. */
export async function readRecording(stack: Stack, name: string): Promise<Recording> {
  const file = Buffer.from(
    await stack.exec('bridge', ['base64', '--wrap=0', `${RECORDINGS_PATH}/${name}`]),
    'base64',
  );
  const channels = file.readUInt16LE(22);
  const bits = file.readUInt16LE(34);
  const dataBytes = file.readUInt32LE(40);
  const isWhole = file.toString('latin1', 0, 4) === 'RIFF' && HEADER_BYTES + dataBytes <= file.length;
  if (!isWhole || channels !== 2 || bits !== 16)
    throw new Error(
      `${name}: ${file.length} bytes, the header says ${dataBytes}, ${channels} x ${bits} bits`,
    );
  const side = (at: number) =>
    Int16Array.from({ length: dataBytes / 4 }, (_, i) => file.readInt16LE(HEADER_BYTES + 4 * i + at));
  return { sampleRate: file.readUInt32LE(24), left: side(0), right: side(2) };
}

/** What is heard on one side. */
export function bursts(samples: Int16Array, sampleRate: number): Burst[] {
  const perMs = sampleRate / 1000;
  const found: { from: number; to: number }[] = [];
  for (const [at, sample] of samples.entries()) {
    if (Math.abs(sample) < SOUND) continue;
    const last = found.at(-1);
    if (last !== undefined && at - last.to < SILENCE_MS * perMs) last.to = at;
    else found.push({ from: at, to: at });
  }
  return found
    .filter(({ from, to }) => to - from >= BURST_MIN_MS * perMs)
    .map(({ from, to }) => ({
      hz: dominantTone(samples.subarray(from, to + 1), sampleRate),
      fromMs: from / perMs,
      toMs: to / perMs,
    }));
}
