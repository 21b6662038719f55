import { CALL_VARIABLES, parsePairs } from '../call/info.ts';

/** Variables that an order may not set: it has fields for them, or only inbound calls have them. */
const NOT_FOR_ORDERS: readonly string[] = [
  'X_CALL_ID',
  'X_TENANT',
  'X_CALLBACK_URL',
  'CUSTOM_VARS',
  'SIP_CALL_ID',
  'SIP_FROM_TAG',
  'SIP_HEADERS',
  'INBOUND_PROVIDER',
  'INBOUND_DID',
  'INBOUND_FROM',
];
const KNOWN: readonly string[] = CALL_VARIABLES.filter((name) => !NOT_FOR_ORDERS.includes(name));

/** The part of an order that becomes channel variables. */
interface OrderedExtras {
  readonly tenant?: string | undefined;
  readonly callbackUrl?: string | undefined;
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

/**
 * The channel variables for an order. Variables known to the bridge keep their names, all others go
 * into `CUSTOM_VARS`. The channel keeps them if the bridge restarts, and they are the same as for
 * an externally originated channel. `shown` are the variables that are only sent to the bot.
 */
export function orderVariables(
  { tenant, callbackUrl, variables = {} }: OrderedExtras,
  callId: string,
): { channelVariables: Record<string, string>; shown: Record<string, string> } {
  const given = Object.entries(variables);
  const known = given.filter(([name]) => KNOWN.includes(name));
  const custom = given.filter(([name]) => ![...KNOWN, ...NOT_FOR_ORDERS].includes(name));
  const pairs = Object.entries({ ...parsePairs(variables.CUSTOM_VARS ?? ''), ...Object.fromEntries(custom) });
  return {
    channelVariables: {
      ...Object.fromEntries(known),
      X_CALL_ID: callId,
      ...(tenant === undefined ? {} : { X_TENANT: tenant }),
      ...(callbackUrl === undefined ? {} : { X_CALLBACK_URL: callbackUrl }),
      // {@link parsePairs} reads a plus as a plus, not as a space.
      ...(pairs.length === 0 ? {} : { CUSTOM_VARS: encodePairs(pairs) }),
    },
    shown: Object.fromEntries(custom),
  };
}

function encodePairs(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
}
