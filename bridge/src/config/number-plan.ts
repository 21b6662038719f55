/** A provider's number format, and the numbers that may be dialled. From the provider's file. */
export interface NumberPlan {
  /** `e164plus` is +4930…, `e164` is 4930…. `national` is 030… at home and 0049… abroad. */
  readonly format: 'e164plus' | 'e164' | 'national';
  /** Country calling code, digits only. Unset: national numbers are not understood. */
  readonly countryCode: string | undefined;
  /** National prefix: 0 in most countries, empty in some. */
  readonly trunkPrefix: string;
  /** International prefix, used in the `national` format only. */
  readonly internationalPrefix: string;
  /**
   * Prefixes of E.164 numbers, without the plus. The longest match decides. A number without a
   * match is refused.
   */
  readonly allowed: readonly PrefixRule[];
}

/** A prefix, and whether its numbers may be dialled. An empty prefix matches every number. */
export interface PrefixRule {
  readonly prefix: string;
  readonly allows: boolean;
}

/** Country code and subscriber number, at most 15 digits (ITU-T E.164 section 6). */
const E164 = /^\+[1-9]\d{5,14}$/;
const PREFIX_RULE = /^(!?)\+?(\d{1,15})$/;

/**
 * Normalises a number to E.164 with a plus: `+49 (30) 1234-5` is `+493012345`, and so is `030
 * 12345` if the plan has a country code. Undefined if it is not such a number.
 */
export function toE164(text: string, plan: NumberPlan): string | undefined {
  // A bracketed zero is omitted in calls from abroad. The text therefore holds two different
  // numbers.
  if (text.includes('(0)')) return undefined;
  const digits = text.replaceAll(/[\s().\-/]/g, '');
  const number = withCountry(digits, plan);
  return number !== undefined && E164.test(number) ? number : undefined;
}

/**
 * Converts an E.164 number to the provider's format. Undefined if the provider would read another
 * number: with country code 91, +91019005550000 would be sent as 0019005550000, which is
 * +19005550000.
 */
export function forProvider(e164: string, plan: NumberPlan): string | undefined {
  const dialled = written(e164, plan);
  return readByProvider(dialled, plan) === e164 ? dialled : undefined;
}

/** A number that may be dialled: the checked E.164 number, and what is sent to the provider. */
export interface DialableNumber {
  readonly e164: string;
  readonly dialled: string;
}

/** Checks a number for an outbound call, which is charged. Returns why it may not be dialled. */
export function dialable(
  text: string,
  plan: NumberPlan,
): DialableNumber | 'invalid-number' | 'number-not-allowed' {
  const e164 = toE164(text, plan);
  if (e164 === undefined) return 'invalid-number';
  if (!isAllowed(e164, plan)) return 'number-not-allowed';
  const dialled = forProvider(e164, plan);
  return dialled === undefined ? 'invalid-number' : { e164, dialled };
}

/** Country codes have one to three digits (ITU-T E.164 section 6.2.1). A trunk zero may follow. */
const COUNTRY_CODE_DIGITS = [1, 2, 3];

/**
 * Whether an E.164 number may be dialled over this provider. A rule that forbids a prefix also
 * forbids it with a trunk zero after the country code, because many networks drop that zero:
 * `!+43900` forbids +430900….
 */
export function isAllowed(e164: string, plan: NumberPlan): boolean {
  const digits = e164.slice(1);
  if (!(ruleFor(digits, plan)?.allows ?? false)) return false;
  return COUNTRY_CODE_DIGITS.filter((at) => digits[at] === '0').every((at) => {
    const rule = ruleFor(digits.slice(0, at) + digits.slice(at).replace(/^0+/, ''), plan);
    return rule === undefined || rule.allows;
  });
}

function ruleFor(digits: string, { allowed }: NumberPlan): PrefixRule | undefined {
  const fitting = allowed.filter(({ prefix }) => digits.startsWith(prefix));
  return fitting.sort((a, b) => b.prefix.length - a.prefix.length)[0];
}

/** Parses `+49,!+49900,+43` (`!` forbids) or `*`. Throws an Error that quotes the invalid entry. */
export function parsePrefixes(list: string): readonly PrefixRule[] {
  return list.split(',').map((entry) => {
    const text = entry.trim();
    if (text === '*') return { prefix: '', allows: true };
    const [, forbids, prefix] = PREFIX_RULE.exec(text) ?? [];
    if (prefix === undefined) throw new Error(`"${text}" is no prefix such as +49, no !+49900 and no *`);
    return { prefix, allows: forbids === '' };
  });
}

/**
 * The default without a list: only the provider's own country, or nothing if that is unknown. It
 * prevents charges for calls abroad that nobody allowed.
 */
export function homePrefixes(countryCode: string | undefined): readonly PrefixRule[] {
  return countryCode === undefined ? [] : [{ prefix: countryCode, allows: true }];
}

/** International prefix in numbers that people write, whatever the provider's own prefix is. */
const USUAL_INTERNATIONAL_PREFIX = '00';

function withCountry(digits: string, plan: NumberPlan): string | undefined {
  const { countryCode, trunkPrefix, internationalPrefix } = plan;
  if (digits.startsWith('+')) return digits;
  for (const prefix of [internationalPrefix, USUAL_INTERNATIONAL_PREFIX]) {
    if (prefix !== '' && digits.startsWith(prefix)) return `+${digits.slice(prefix.length)}`;
  }
  if (countryCode === undefined || !digits.startsWith(trunkPrefix)) return undefined;
  return `+${countryCode}${digits.slice(trunkPrefix.length)}`;
}

function written(
  e164: string,
  { format, countryCode, trunkPrefix, internationalPrefix }: NumberPlan,
): string {
  if (format === 'e164plus') return e164;
  const digits = e164.slice(1);
  if (format === 'e164') return digits;
  const isAtHome = countryCode !== undefined && digits.startsWith(countryCode);
  return isAtHome ? `${trunkPrefix}${digits.slice(countryCode.length)}` : `${internationalPrefix}${digits}`;
}

/**
 * The E.164 number that a provider reads in a dialled number: its longest matching prefix decides.
 */
function readByProvider(dialled: string, plan: NumberPlan): string | undefined {
  const { format, countryCode, trunkPrefix, internationalPrefix } = plan;
  if (format === 'e164plus') return dialled;
  if (format === 'e164') return `+${dialled}`;
  const abroad = { prefix: internationalPrefix, country: '' };
  const home = countryCode === undefined ? [] : [{ prefix: trunkPrefix, country: countryCode }];
  const fitting = [...home, abroad].filter(({ prefix }) => dialled.startsWith(prefix));
  const longest = fitting.sort((a, b) => b.prefix.length - a.prefix.length)[0];
  return longest === undefined ? undefined : `+${longest.country}${dialled.slice(longest.prefix.length)}`;
}
