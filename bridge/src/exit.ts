import koffi from 'koffi';

/**
 * Ends the process at once, though a thread hangs: `process.exit` waits for every thread, and one that a disk holds may never come
 * back. What the process would still do at its end is left out, such as writing a profile.
 */
export function exitNow(code: number): never {
  try {
    koffi.load(null).func('void _exit(int)')(code);
  } catch {
    // No C library that could be asked: the other way, then.
  }
  process.exit(code);
}
