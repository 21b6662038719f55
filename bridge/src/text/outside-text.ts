/**
 * Control characters, lone surrogates, line separators and marks that change the text direction.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
const REPLACEMENT = '\ufffd';
/** Default limit of a field that people chose. */
const FIELD_MAX_CHARS = 256;

/**
 * Makes text from outside safe for records, logs and bots: replaces unprintable characters by
 * U+FFFD, and cuts it.
 */
export function printable(text: string, maxChars: number = FIELD_MAX_CHARS): string {
  return text.slice(0, maxChars).replaceAll(UNPRINTABLE, REPLACEMENT);
}

/**
 * Makes values for a bot well-formed, so that each can be part of a URL, and cuts them. They may
 * contain line breaks.
 */
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
