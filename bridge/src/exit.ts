import koffi from 'koffi';

/**
 * Ends the process at once. `process.exit` waits for every thread, and one that hangs in a disk
 * operation may never return. Skips exit handlers, such as writing a profile.
 */
export function exitNow(code: number): never {
  try {
    koffi.load(null).func('void _exit(int)')(code);
  } catch {
    // The C library could not be loaded: `process.exit` remains.
  }
  process.exit(code);
}
