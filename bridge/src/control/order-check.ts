import { callbackTarget } from '../config/callback-url.ts';
import type { Config } from '../config/environment.ts';
import { type DialableNumber, dialable, toE164 } from '../config/number-plan.ts';
import type { Provider } from '../config/providers.ts';
import type { CallOrder } from './orders.ts';
import { RequestRefused } from './request-refused.ts';

/** A caller number that is not E.164: an extension, or a name that the provider assigned. */
const OWN_NUMBER = /^[\w+.*#-]{1,64}$/;

/** A validated order. */
export interface CheckedOrder {
  readonly order: CallOrder;
  readonly provider: Provider;
  readonly callId: string;
  readonly to: DialableNumber;
  readonly from: string;
}

/**
 * Checks an order against the provider's numbers and the configuration. Throws a
 * {@link RequestRefused} that names the field.
 */
export function checkOrder(order: CallOrder, callId: string, config: Config): CheckedOrder {
  const provider = config.providers.get(order.provider);
  if (provider === undefined)
    throw new RequestRefused(422, 'no provider has this name', { field: 'provider' });
  const { numbers } = provider;
  const to = dialable(order.to, numbers);
  if (to === 'invalid-number') {
    const national = numbers.countryCode === undefined ? '' : ', or a national number';
    throw new RequestRefused(422, `must be a number in E.164, such as +4930123456${national}`, {
      field: 'to',
    });
  }
  if (to === 'number-not-allowed') {
    const reason = `ALLOWED_PREFIXES of ${provider.name} does not allow this number`;
    throw new RequestRefused(422, reason, { field: 'to' });
  }
  const own = order.from ?? provider.callerId ?? '';
  const from = toE164(own, numbers) ?? own;
  if (from !== '' && !OWN_NUMBER.test(from)) {
    throw new RequestRefused(422, 'must be a number, or an extension', { field: 'from' });
  }
  if (order.callbackUrl !== undefined) {
    const target = callbackTarget(order.callbackUrl, config.CALLBACK_HOSTS);
    if ('problem' in target) throw new RequestRefused(422, target.problem, { field: 'callbackUrl' });
  }
  const longestS = config.MAX_CALL_DURATION_S;
  if (order.maxDurationSeconds !== undefined && order.maxDurationSeconds > longestS) {
    const reason = `must be at most MAX_CALL_DURATION_S, ${longestS}`;
    throw new RequestRefused(422, reason, { field: 'maxDurationSeconds' });
  }
  return { order, provider, callId, to, from };
}
