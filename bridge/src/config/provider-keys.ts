import { closest } from 'fastest-levenshtein';

/** Which program reads a key of a provider's file: Asterisk's entrypoint, or the bridge. */
export type KeyReader = 'asterisk' | 'bridge';

/**
 * Parses the list of keys (asterisk/provider-keys). A line has a key and its reader. `#` starts a
 * comment.
 */
export function parseProviderKeys(list: string): ReadonlyMap<string, KeyReader> {
  const lines = list.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [key = '', reader] = line.split(' ');
      return [key, reader === 'bridge' ? 'bridge' : 'asterisk'];
    }),
  );
}

/**
 * The shortest key that contains the word (`COUNTRY`: `COUNTRY_CODE`), else the most similar key.
 */
function nearest(word: string, keys: readonly string[]): string {
  const holding = keys
    .filter((key) => key.includes(word))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return holding[0] ?? closest(word, keys);
}

const LINE = /^([A-Z_]+)=/;

/**
 * Problems of a provider's file, one text each: lines that are not `KEY=value`, unknown keys and
 * duplicate keys. An unknown key is an error, because a mistyped limit would not limit anything.
 */
export function keyProblems(text: string, keys: ReadonlyMap<string, KeyReader>): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const key = LINE.exec(line)?.[1];
    if (key === undefined) problems.push(`line ${index + 1}: is not KEY=value`);
    else if (!keys.has(key))
      problems.push(`${key}: is not a key that is known; the nearest is ${nearest(key, [...keys.keys()])}`);
    else if (seen.has(key)) problems.push(`${key}: is there twice`);
    if (key !== undefined) seen.add(key);
  }
  return problems;
}
