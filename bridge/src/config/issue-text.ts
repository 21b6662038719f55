/** An issue of a schema, as far as its text depends on it. */
interface Issue {
  readonly code?: string | undefined;
  readonly expected?: unknown;
  /** What is too small or too big: `string`, or a kind of number. */
  readonly origin?: unknown;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
  readonly message: string;
}

/**
 * What is wrong with a setting, in an operator's words. Zod's own messages speak of NaN, of types
 * and of `>=1`.
 */
export function issueText(issue: Issue, value: string | undefined): string {
  if (issue.message.startsWith('Too ')) return limitText(issue);
  if (issue.code !== 'invalid_type' || value === undefined) return issue.message;
  if (issue.expected === 'number') return `${value} is no number`;
  if (issue.expected === 'int') return `${value} is no whole number`;
  return issue.message;
}

function limitText({ code, origin, minimum, maximum }: Issue): string {
  const limit = code === 'too_small' ? `at least ${minimum}` : `at most ${maximum}`;
  return origin === 'string' ? `must have ${limit} characters` : `must be ${limit}`;
}
