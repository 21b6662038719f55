import { z } from 'zod';
import type { StartFields } from '../pipecat/dialect.ts';

/** The placeholders of a bot's URL. A value that is absent becomes empty. */
const PLACEHOLDERS: Readonly<Record<string, (call: StartFields) => string | undefined>> = {
  call_id: ({ callId }) => callId,
  tenant: ({ tenant }) => tenant,
  direction: ({ direction }) => direction,
  provider: ({ sipProvider }) => sipProvider,
  from: ({ from }) => from,
  to: ({ to }) => to,
  agent_id: ({ variables }) => variables.AGENT_ID,
};
/**
 * A fragment, a backslash or a control character: URL parsers drop these or read them as a slash.
 */
const NOT_OF_A_URL = /[#\\\p{Cc}]/u;
const PLACEHOLDER = /\{([^{}]*)\}/g;

/**
 * A bot's URL, `ws://` or `wss://`. Placeholders such as `{tenant}` may stand in the path and in
 * the query, not in the scheme, host or port.
 */
export const botUrl = z.string().superRefine((template, context) => {
  const problem = problemOf(template);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** The URL of one call's bot: fills in the placeholders, URL-encoded. */
export function expandBotUrl(template: string, call: StartFields): string {
  return template.replaceAll(PLACEHOLDER, (_, name: string) => {
    const value = PLACEHOLDERS[name]?.(call) ?? '';
    // A value of dots only would change the folder of the path, even URL-encoded.
    return /^\.+$/.test(value) ? '' : encodeURIComponent(value.toWellFormed());
  });
}

/** A bot's URL as it may be shown: without query and credentials. */
export function botName(template: string): string {
  return template.replace(/[?].*/, '').replace(/^(wss?:\/\/)[^/]*@/, '$1');
}

function problemOf(template: string): string | undefined {
  const plain = template.replaceAll(PLACEHOLDER, '');
  if (!/^wss?:\/\//.test(template) || !URL.canParse(plain) || NOT_OF_A_URL.test(plain))
    return 'must be a URL starting with ws:// or wss://, without a fragment';
  // URL parsers read more than two slashes as two: `ws:///{to}` would let a call choose the bot's
  // host.
  if (/^wss?:\/{2,}[^/?]*[{}]/.test(template)) return 'must not have placeholders before its path';
  if (/[{}]/.test(plain)) return 'has a brace without its other one';
  const isKnown = [...template.matchAll(PLACEHOLDER)].every(([, name = '']) =>
    Object.hasOwn(PLACEHOLDERS, name),
  );
  return isKnown ? undefined : `may have no other placeholders than ${Object.keys(PLACEHOLDERS).join(', ')}`;
}
