/** Controls, half surrogate pairs, line ends and marks that turn the direction of what follows them. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
const REPLACEMENT = '\ufffd';
/** What a field that people chose is cut to. */
const FIELD_MAX_CHARS = 256;

/** Text from outside for records, logs and bots: what is not printable is replaced (U+FFFD), what is too long is cut. */
export function printable(text: string, maxChars: number = FIELD_MAX_CHARS): string {
  return text.slice(0, maxChars).replaceAll(UNPRINTABLE, REPLACEMENT);
}

/** Values for a bot, which may have lines: well-formed, so that any of them can be a part of a URL, and cut. */
export function wellFormed(
  values: Readonly<Record<string, string>>,
  maxChars: number,
): Record<string, string> {
  const pairs = Object.entries(values).map(([name, value]) => [
    name,
    value.slice(0, maxChars).toWellFormed(),
  ]);
  return Object.fromEntries(pairs);
}
