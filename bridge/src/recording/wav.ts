/** Bytes before the samples. */
export const WAV_HEADER_BYTES = 44;
/** Bytes of one stereo sample: caller left, bot right, 16 bits each. */
export const WAV_FRAME_BYTES = 4;
const CHANNELS = 2;
const BITS = 16;
const FORMAT_PCM = 1;
const FORMAT_CHUNK_BYTES = 16;

/**
 * The header of a stereo WAV file (RIFF, 16-bit PCM) with `dataBytes` bytes of samples. PCM takes
 * twice the space of G.711, but every player, browser and library reads it.
 */
export function wavHeader(sampleRate: number, dataBytes: number): Buffer {
  const header = Buffer.alloc(WAV_HEADER_BYTES);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(WAV_HEADER_BYTES - 8 + dataBytes, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(FORMAT_CHUNK_BYTES, 16);
  header.writeUInt16LE(FORMAT_PCM, 20);
  header.writeUInt16LE(CHANNELS, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * WAV_FRAME_BYTES, 28);
  header.writeUInt16LE(WAV_FRAME_BYTES, 32);
  header.writeUInt16LE(BITS, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(dataBytes, 40);
  return header;
}
