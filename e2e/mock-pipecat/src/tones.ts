/**
 * Tones and G.711, pure: what the mock bot speaks and hears with, and what the end-to-end tests
 * analyse captures with.
 *
 * All test tones are multiples of 50 Hz (or far from them), so that a 20 ms frame holds whole
 * periods: Goertzel over one frame is then exact. They stay clear of each other's harmonics (also
 * folded at 8 kHz) and of the DTMF tones.
 */

/** What a test's caller plays, in Hz. */
export const CALLER_HZ = 440;
/** A tone that only the mock bot plays, in Hz: a caller who hears it hears the AI, not an echo. */
export const MARKER_HZ = 1050;
/**
 * The mock bot's second tone, in Hz: what it plays after a `clear`, an answer to a digit, or a
 * mark.
 */
export const SECOND_HZ = 1850;
/** Nothing plays this, in Hz: its level is what "not there" looks like. */
export const CONTROL_HZ = 2550;
/** What a wideband caller plays, in Hz: above all that a line of 8 kHz can carry. */
export const WIDE_CALLER_HZ = 6000;
/** And what the mock bot then plays, in Hz. */
export const WIDE_MARKER_HZ = 6400;
/** The tones that `dominantTone` looks for by default. */
export const TONES_HZ: readonly number[] = [CALLER_HZ, MARKER_HZ, SECOND_HZ, WIDE_CALLER_HZ, WIDE_MARKER_HZ];

/** Amplitude of generated tones in 16-bit sample units (-12 dBFS). */
export const TONE_AMPLITUDE = 8000;
/** Below this amplitude nothing is a tone: well above G.711's quantisation of silence. */
export const MIN_TONE_AMPLITUDE = 400;

/**
 * A sine of `hz` lasting `ms` at `rate` Hz. It starts at phase 0, so tones of whole periods may be
 * joined.
 */
export function tone(hz: number, ms: number, rate: number, amplitude = TONE_AMPLITUDE): Int16Array {
  const samples = new Int16Array(Math.round((ms * rate) / 1000));
  const step = (2 * Math.PI * hz) / rate;
  for (let i = 0; i < samples.length; i++) samples[i] = Math.round(amplitude * Math.sin(step * i));
  return samples;
}

/**
 * Amplitude of the `hz` component in `samples`, in sample units (a full-scale sine gives 32767). 0
 * for no samples.
 */
export function goertzel(samples: Int16Array, hz: number, sampleRate: number): number {
  if (samples.length === 0) return 0;
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / sampleRate);
  let previous = 0;
  let beforePrevious = 0;
  for (const sample of samples) {
    const current = sample + coefficient * previous - beforePrevious;
    beforePrevious = previous;
    previous = current;
  }
  const power = previous ** 2 + beforePrevious ** 2 - coefficient * previous * beforePrevious;
  return (2 * Math.sqrt(Math.max(0, power))) / samples.length;
}

/** Root mean square of `samples`, in sample units. 0 for no samples. */
export function rms(samples: Int16Array): number {
  if (samples.length === 0) return 0;
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / samples.length);
}

/**
 * The candidate that has at least half of the energy of `samples` and is 20 dB above the control
 * bin; undefined for silence, speech and noise. `samples` is 20 ms or a multiple.
 */
export function dominantTone(
  samples: Int16Array,
  sampleRate: number,
  candidates: readonly number[] = TONES_HZ,
): number | undefined {
  const level = rms(samples);
  if (level * Math.SQRT2 < MIN_TONE_AMPLITUDE) return undefined;
  let best: number | undefined;
  let bestAmplitude = Math.max(MIN_TONE_AMPLITUDE, 10 * goertzel(samples, CONTROL_HZ, sampleRate), level);
  for (const hz of candidates) {
    if (hz * 2 >= sampleRate) continue;
    const amplitude = goertzel(samples, hz, sampleRate);
    if (amplitude < bestAmplitude) continue;
    best = hz;
    bestAmplitude = amplitude;
  }
  return best;
}

const ULAW_BIAS = 0x84;
const ULAW_CLIP = 32635;

/** 16-bit samples to mu-law bytes (ITU-T G.711). Silence becomes 0xFF. */
export function encodeUlaw(samples: Int16Array): Uint8Array {
  return Uint8Array.from(samples, (sample) => {
    const sign = sample < 0 ? 0x80 : 0;
    const magnitude = Math.min(Math.abs(sample), ULAW_CLIP) + ULAW_BIAS;
    const exponent = 31 - Math.clz32(magnitude >> 7);
    const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    return ~(sign | (exponent << 4) | mantissa) & 0xff;
  });
}

/** Mu-law bytes to 16-bit samples (ITU-T G.711). */
export function decodeUlaw(bytes: Uint8Array): Int16Array {
  return Int16Array.from(bytes, (byte) => {
    const code = ~byte & 0xff;
    const magnitude = ((((code & 0x0f) << 3) + ULAW_BIAS) << ((code & 0x70) >> 4)) - ULAW_BIAS;
    return code & 0x80 ? -magnitude : magnitude;
  });
}

/** 16-bit samples to A-law bytes (ITU-T G.711). Silence becomes 0xD5. */
export function encodeAlaw(samples: Int16Array): Uint8Array {
  return Uint8Array.from(samples, (sample) => {
    const sign = sample < 0 ? 0 : 0x80;
    const magnitude = (sample < 0 ? ~sample : sample) >> 4;
    const exponent = magnitude < 16 ? 0 : 28 - Math.clz32(magnitude);
    const mantissa = (magnitude >> Math.max(0, exponent - 1)) & 0x0f;
    return (sign | (exponent << 4) | mantissa) ^ 0x55;
  });
}

/** A-law bytes to 16-bit samples (ITU-T G.711). */
export function decodeAlaw(bytes: Uint8Array): Int16Array {
  return Int16Array.from(bytes, (byte) => {
    const code = byte ^ 0x55;
    const exponent = (code & 0x70) >> 4;
    const mantissa = ((code & 0x0f) << 4) + 8;
    const magnitude = exponent === 0 ? mantissa : (mantissa + 0x100) << (exponent - 1);
    return code & 0x80 ? magnitude : -magnitude;
  });
}
