import { CALL_VARIABLES, parsePairs } from '../call/info.ts';

/** Variables of a call that its order says by fields of their own, or that only an inbound call has. */
const NOT_FOR_ORDERS: readonly string[] = [
  ...['X_CALL_ID', 'X_TENANT', 'X_CALLBACK_URL', 'CUSTOM_VARS', 'SIP_CALL_ID', 'SIP_FROM_TAG', 'SIP_HEADERS'],
  ...['INBOUND_PROVIDER', 'INBOUND_DID', 'INBOUND_FROM'],
];
const KNOWN: readonly string[] = CALL_VARIABLES.filter((name) => !NOT_FOR_ORDERS.includes(name));

/** The part of an order that becomes variables. */
interface Order {
  readonly tenant?: string | undefined;
  readonly callbackUrl?: string | undefined;
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

/**
 * The channel's variables for an order: those that the bridge knows under their own names, all others in `CUSTOM_VARS`. So they
 * outlive the bridge's process, and work as if somebody had originated the channel with them. `shown` is what the bot is shown
 * beyond them.
 */
export function orderVariables(
  { tenant, callbackUrl, variables = {} }: Order,
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
      // The bridge's own reading of pairs takes a plus for a plus.
      ...(pairs.length === 0 ? {} : { CUSTOM_VARS: encodePairs(pairs) }),
    },
    shown: Object.fromEntries(custom),
  };
}

function encodePairs(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
}
