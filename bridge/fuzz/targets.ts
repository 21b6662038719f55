import { globSync } from 'node:fs';
import type { FuzzTarget } from './target.ts';

const NO_TARGETS = new Set(['target.ts', 'targets.ts', 'main.ts']);

/**
 * Every target of this folder, in the order of the files' names. Throws an Error for a file that
 * exports no `targets`.
 */
export async function allTargets(): Promise<readonly FuzzTarget[]> {
  const files = globSync('*.ts', { cwd: import.meta.dirname })
    .filter((file) => !NO_TARGETS.has(file) && !file.endsWith('.test.ts'))
    .sort();
  const modules = files.map(async (file) => {
    const { targets } = (await import(`./${file}`)) as { targets?: readonly FuzzTarget[] };
    if (targets === undefined) throw new Error(`fuzz/${file} exports no targets`);
    return targets;
  });
  return (await Promise.all(modules)).flat();
}
