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

/**
 * An E.164 number as the provider wants it. `undefined` where the provider would read another number there: at home in the
 * country 91, +91019005550000 would be 0019005550000, which is +19005550000.
 */
export function forProvider(e164: string, plan: NumberPlan): string | undefined {
  const dialled = written(e164, plan);
  return readByProvider(dialled, plan) === e164 ? dialled : undefined;
}

/** A number that may be dialled: what was checked, and what the provider is sent for it. */
export interface DialableNumber {
  readonly e164: string;
  readonly dialled: string;
}

/** Checks a number as people write it, for a call that somebody pays. Returns why it may not be dialled. */
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

/** Country codes have one to three digits (ITU-T E.164 section 6.2.1); a trunk zero may stand behind them. */
const COUNTRY_CODE_DIGITS = [1, 2, 3];

/**
 * Whether the provider may be asked for an E.164 number. A rule that forbids also forbids the number with a trunk zero behind its
 * country code, since many networks drop that zero: `!+43900` forbids +430900….
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

/** International numbers begin with `00` in what people write, whatever they begin with at the provider. */
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

/** The number that a provider reads in what it is sent: the longest of its prefixes decides. */
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
