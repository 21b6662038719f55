/** A mono recording. */
export interface Recording {
  readonly sampleRate: number;
  readonly samples: Int16Array;
}

/** Parses a RIFF/WAVE file of 16-bit mono PCM; throws with the reason for anything else. */
export function parseWav(file: Buffer): Recording {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') {
    throw new Error('not a RIFF/WAVE file');
  }
  let sampleRate = 0;
  for (let at = 12; at + 8 <= file.length; ) {
    const id = file.toString('latin1', at, at + 4);
    const length = file.readUInt32LE(at + 4);
    const body = file.subarray(at + 8, at + 8 + length);
    if (id === 'fmt ') {
      if (body.length < 16) throw new Error('a format chunk that is too short');
      const codec = body.readUInt16LE(0);
      const channels = body.readUInt16LE(2);
      const bits = body.readUInt16LE(14);
      if (codec !== 1 || channels !== 1 || bits !== 16) throw new Error('not 16-bit mono PCM');
      sampleRate = body.readUInt32LE(4);
    }
    if (id === 'data' && sampleRate > 0) {
      const samples = Int16Array.from({ length: body.length >> 1 }, (_, i) => body.readInt16LE(i * 2));
      return { sampleRate, samples };
    }
    at += 8 + length + (length & 1);
  }
  throw new Error('no audio in the file');
}
