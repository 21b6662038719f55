// Debian builds Node without its TypeScript support (amaro): this puts it back. A Node that has it needs nothing.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'amaro';

if (!process.features.typescript) {
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
      const { code } = transformSync(readFileSync(fileURLToPath(url), 'utf8'), { mode: 'strip-only' });
      return { format: 'module', source: code, shortCircuit: true };
    },
  });
}
