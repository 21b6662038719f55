/**
 * The global variables of Asterisk by which the bridge has it apply changed provider files, and
 * gets an answer (`asterisk/reloads`): both go by the same files then. A question is the digest of
 * the files that the bridge has read, and a number. The answer begins with that number.
 */

/** Name of the global variable with an app's question. */
export function reloadVariable(app: string): string {
  return `PIPECAT_RELOAD_${app}`;
}

/** Name of the global variable with the answer. Empty: this Asterisk applies no files. */
export function reloadedVariable(app: string): string {
  return `PIPECAT_RELOADED_${app}`;
}

/** Name of the global variable with the digest of the files that Asterisk goes by. */
export function providersVariable(app: string): string {
  return `PIPECAT_PROVIDERS_${app}`;
}

/**
 * What became of the files in Asterisk: which it applied, or why it did not. `isFault`: they have a
 * fault, and the same ones are refused again.
 */
export type AsteriskReload =
  | { readonly applied: string }
  | { readonly refused: string; readonly isFault: boolean };

/** An answer to the question with this number. Undefined: it is none. */
export function parseReloaded(value: string, number: string): AsteriskReload | undefined {
  const [, found, verdict, text = ''] = /^(\S+) (ok|refused|failed) ?(.*)$/s.exec(value) ?? [];
  if (found !== number) return undefined;
  return verdict === 'ok' ? { applied: text } : { refused: text, isFault: verdict === 'refused' };
}
