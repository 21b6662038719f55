import { basename } from 'node:path';
import { bytesPerSample, sampleReader } from '../audio/format.ts';
import type { Disk } from '../recording/disk.ts';
import { Recorder } from '../recording/recorder.ts';
import type { MediaTransport } from './line-transport.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** Starts recording a call, if it is configured. `onState` is called on every change. */
export function startRecorder(
  { recording, line: { encoding, sampleRate } }: MediaSettings,
  { playoutDelayMs }: MediaTransport,
  disk: Disk,
  onState: (event: Extract<MediaEvent, { type: 'recording' }>) => void,
): Recorder | undefined {
  if (recording === undefined) return undefined;
  const file = basename(recording.path);
  const line = {
    sampleRate,
    bytesPerSample: bytesPerSample(encoding),
    readSample: sampleReader(encoding),
    botDelayMs: playoutDelayMs,
  };
  return new Recorder(recording, line, disk, (state, detail, isPaused) =>
    onState({ type: 'recording', state, file, isPaused, detail }),
  );
}
