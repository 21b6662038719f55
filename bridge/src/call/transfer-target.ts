import { dialable, forProvider, type NumberPlan, toE164 } from '../config/number-plan.ts';
import type { Provider, TransferMethod } from '../config/providers.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { CallInfo } from './info.ts';
import type { TransferRefusal } from './transfer-reasons.ts';

/** Where a caller is handed over to, after all checks. */
export type TransferTarget =
  | {
      readonly kind: 'number';
      readonly provider: string;
      /** As the provider wants it. */
      readonly number: string;
      readonly method: TransferMethod;
      /** The caller's number that the other end is shown. */
      readonly callerId: string;
    }
  | { readonly kind: 'dialplan'; readonly context: string; readonly extension: string };

/** What decides about transfers. */
export interface TransferRules {
  readonly providers: ReadonlyMap<string, Provider>;
  /** Contexts of the dialplan that may be gone to. */
  readonly contexts: readonly string[];
}

const DIGITS = /^\+?[\d*#]{1,32}$/;
const EXTENSION = /^[\w+*#-]{1,80}$/;

/** Checks what was asked for. A number has to be allowed by the provider that is dialled over: a transfer is a call that somebody pays. */
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
    // Only the caller's own network can be asked to call somebody else.
    method: provider.name === sipProvider ? provider.transferMethod : 'bridge',
    callerId: shownNumber(provider.callerId ?? from, provider.numbers),
  };
}

/** As the provider wants numbers; one that is no number of the world as it is, if it is one at all. */
function shownNumber(number: string, plan: NumberPlan): string {
  const e164 = toE164(number, plan);
  if (e164 !== undefined) return forProvider(e164, plan) ?? e164;
  return DIGITS.test(number) ? number : '';
}
