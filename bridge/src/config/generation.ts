import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A digest of the providers' files, with comments. Asterisk makes the same of those that it reads
 * (`providers_generation` of asterisk/reloading.sh). Throws if they cannot be read.
 */
export function providersGeneration(directory: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(directory).filter((file) => file.endsWith('.env') && !file.startsWith('.'));
  for (const file of files.sort()) hash.update(`${file}\n`).update(readFileSync(join(directory, file)));
  return hash.digest('hex');
}
