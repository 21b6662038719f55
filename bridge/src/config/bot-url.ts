import { z } from 'zod';
import type { StartFields } from '../pipecat/dialect.ts';

/** What may stand in braces in a bot's URL; absent values become empty. */
const PLACEHOLDERS: Readonly<Record<string, (call: StartFields) => string | undefined>> = {
  call_id: ({ callId }) => callId,
  tenant: ({ tenant }) => tenant,
  direction: ({ direction }) => direction,
  provider: ({ sipProvider }) => sipProvider,
  from: ({ from }) => from,
  to: ({ to }) => to,
  agent_id: ({ variables }) => variables.AGENT_ID,
};
/** A fragment; and what readers of URLs pass over, or take for a slash. */
const NOT_OF_A_URL = /[#\\\p{Cc}]/u;
const PLACEHOLDER = /\{([^{}]*)\}/g;

/** A bot's URL, `ws://` or `wss://`: may have placeholders such as `{tenant}` in its path and query, not in what says where it is. */
export const botUrl = z.string().superRefine((template, context) => {
  const problem = problemOf(template);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** The URL of one call's bot: placeholders filled in, URL-encoded. */
export function expandBotUrl(template: string, call: StartFields): string {
  return template.replaceAll(PLACEHOLDER, (_, name: string) => {
    const value = PLACEHOLDERS[name]?.(call) ?? '';
    // A dialled number of dots would name another folder, encoded or not.
    return /^\.+$/.test(value) ? '' : encodeURIComponent(value.toWellFormed());
  });
}

function problemOf(template: string): string | undefined {
  const plain = template.replaceAll(PLACEHOLDER, '');
  if (!/^wss?:\/\//.test(template) || !URL.canParse(plain) || NOT_OF_A_URL.test(plain))
    return 'must be a URL starting with ws:// or wss://, without a fragment';
  // More slashes than two count as two: `ws:///{to}` would let a call say where its bot is.
  if (/^wss?:\/{2,}[^/?]*[{}]/.test(template)) return 'must not have placeholders before its path';
  if (/[{}]/.test(plain)) return 'has a brace without its other one';
  const isKnown = [...template.matchAll(PLACEHOLDER)].every(([, name = '']) =>
    Object.hasOwn(PLACEHOLDERS, name),
  );
  return isKnown ? undefined : `may have no other placeholders than ${Object.keys(PLACEHOLDERS).join(', ')}`;
}
