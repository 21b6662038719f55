import { dialable, forProvider, type NumberPlan, toE164 } from '../config/number-plan.ts';
import type { Provider, TransferMethod } from '../config/providers.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { CallInfo } from './info.ts';
import type { TransferRefusal } from './transfer-reasons.ts';

/** Where a caller is transferred to, after all checks. */
export type TransferTarget =
  | {
      readonly kind: 'number';
      readonly provider: string;
      /** In the provider's format. */
      readonly number: string;
      readonly method: TransferMethod;
      /** The caller number that the other end is shown. */
      readonly callerId: string;
    }
  | { readonly kind: 'dialplan'; readonly context: string; readonly extension: string };

/** The rules of transfers. */
export interface TransferRules {
  readonly providers: ReadonlyMap<string, Provider>;
  /** Dialplan contexts that transfers may use. */
  readonly contexts: readonly string[];
}

const DIGITS = /^\+?[\d*#]{1,32}$/;
const EXTENSION = /^[\w+*#-]{1,80}$/;

/**
 * Checks a transfer request. The provider that is dialled over must allow the number, because the
 * transfer is a call that is charged.
 */
export function transferTarget(
  { to, provider: wished, mode, context = '', extension = to }: TransferRequest,
  { sipProvider, from }: CallInfo,
  { providers, contexts }: TransferRules,
): TransferTarget | TransferRefusal {
  if (mode === 'dialplan') {
    if (!contexts.includes(context)) return 'context-not-allowed';
    return EXTENSION.test(extension) ? { kind: 'dialplan', context, extension } : 'invalid-extension';
  }
  const provider = providers.get(wished ?? sipProvider);
  if (provider === undefined) return 'unknown-provider';
  const number = dialable(to, provider.numbers);
  if (typeof number === 'string') return number;
  return {
    kind: 'number',
    provider: provider.name,
    number: number.dialled,
    // A REFER can only be sent to the caller's own provider.
    method: provider.name === sipProvider ? provider.transferMethod : 'bridge',
    callerId: shownNumber(provider.callerId ?? from, provider.numbers),
  };
}

/** A number in the provider's format. Unchanged if it is not an E.164 number. */
function shownNumber(number: string, plan: NumberPlan): string {
  const e164 = toE164(number, plan);
  if (e164 !== undefined) return forProvider(e164, plan) ?? e164;
  return DIGITS.test(number) ? number : '';
}
