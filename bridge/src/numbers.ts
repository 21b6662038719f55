/** How a provider wants numbers, and which of them it may be asked for. From its file. */
export interface NumberPlan {
  /** `e164plus` is +4930…, `e164` is 4930…, `national` is 030… at home and 0049… abroad. */
  readonly format: 'e164plus' | 'e164' | 'national';
  /** Digits of the country whose national numbers are understood; unset: only international ones are. */
  readonly countryCode: string | undefined;
  /** What a national number begins with: 0 in most countries, nothing in some. */
  readonly trunkPrefix: string;
  /** What a number of another country begins with, in `national`. */
  readonly internationalPrefix: string;
  /** Beginnings of E.164 numbers, without the plus. The longest that fits decides; what none fits is refused. */
  readonly allowed: readonly PrefixRule[];
}

/** One beginning of numbers, and whether they may be called. An empty prefix fits every number. */
export interface PrefixRule {
  readonly prefix: string;
  readonly allows: boolean;
}

/** A country code, a subscriber, at most 15 digits (ITU-T E.164 section 6). */
const E164 = /^\+[1-9]\d{5,14}$/;
const PREFIX_RULE = /^(!?)\+?(\d{1,15})$/;

/**
 * A number as people write it, in E.164 with a plus: `+49 (30) 1234-5` is `+493012345`, and so is `030 12345` where the plan
 * knows its country. `undefined` where it is no such number.
 */
export function toE164(text: string, plan: NumberPlan): string | undefined {
  // A zero in brackets is left out when one calls from abroad: who writes it has two numbers in mind.
  if (text.includes('(0)')) return undefined;
  const digits = text.replaceAll(/[\s().\-/]/g, '');
  const number = withCountry(digits, plan);
  return number !== undefined && E164.test(number) ? number : undefined;
}

/** An E.164 number as the provider wants it. */
export function forProvider(e164: string, plan: NumberPlan): string {
  if (plan.format === 'e164plus') return e164;
  const digits = e164.slice(1);
  if (plan.format === 'e164') return digits;
  const { countryCode } = plan;
  const isAtHome = countryCode !== undefined && digits.startsWith(countryCode);
  return isAtHome
    ? `${plan.trunkPrefix}${digits.slice(countryCode.length)}`
    : `${plan.internationalPrefix}${digits}`;
}

/** Whether the provider may be asked for an E.164 number. */
export function isAllowed(e164: string, plan: NumberPlan): boolean {
  const fitting = plan.allowed.filter(({ prefix }) => e164.slice(1).startsWith(prefix));
  const [longest] = fitting.sort((a, b) => b.prefix.length - a.prefix.length);
  return longest?.allows ?? false;
}

/** Reads `+49,!+49900,+43` (`!` forbids) or `*`. Throws an Error that quotes what it cannot read. */
export function parsePrefixes(list: string): readonly PrefixRule[] {
  return list.split(',').map((entry) => {
    const text = entry.trim();
    if (text === '*') return { prefix: '', allows: true };
    const [, forbids, prefix] = PREFIX_RULE.exec(text) ?? [];
    if (prefix === undefined) throw new Error(`"${text}" is no prefix such as +49, no !+49900 and no *`);
    return { prefix, allows: forbids === '' };
  });
}

/** Where a provider has no list: its own country, and where that is not known nothing. So nobody finds out by the bill. */
export function homePrefixes(countryCode: string | undefined): readonly PrefixRule[] {
  return countryCode === undefined ? [] : [{ prefix: countryCode, allows: true }];
}

function withCountry(digits: string, { countryCode, trunkPrefix }: NumberPlan): string | undefined {
  if (digits.startsWith('+')) return digits;
  if (digits.startsWith('00')) return `+${digits.slice(2)}`;
  if (countryCode === undefined || !digits.startsWith(trunkPrefix)) return undefined;
  return `+${countryCode}${digits.slice(trunkPrefix.length)}`;
}
