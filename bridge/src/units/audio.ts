/** Length of a frame: one RTP packet, and one tick of the pacer, ms. */
export const FRAME_MS = 20;

/** Sample rates of audio, Hz. G.711 (pcmu, pcma) is always 8000. */
export const SAMPLE_RATES = [8_000, 16_000, 24_000] as const;
/** One of them, Hz. */
export type SampleRate = (typeof SAMPLE_RATES)[number];

/** Encodings of audio. pcm16 is signed, little-endian. */
export const ENCODINGS = ['pcmu', 'pcma', 'pcm16'] as const;
/** One of them. */
export type Encoding = (typeof ENCODINGS)[number];

/** A sender that sent nothing for this time starts a new spurt, ms. */
export const IDLE_MS = 200;
/** How far the caller's audio may be ahead of the time that has passed, ms. */
export const MAX_LEAD_MS = 200;
