import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A directory for `PROVIDERS_DIR` with one file, of pb_fintech. It is removed after the test. */
export function providersDirectory(t: TestContext, file: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'providers-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'pb_fintech.env'), file);
  return directory;
}
