import { z } from 'zod';
import { RATES, type WireRate } from '../pipecat/dialect.ts';

/** A sample rate, Hz, as a setting says it. */
export const sampleRate = z.enum(RATES.map(String)).transform((rate) => Number(rate) as WireRate);
