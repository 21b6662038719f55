/**
 * What is wrong with a setting, in an operator's words. Zod's own message for a text that is no
 * number speaks of NaN and of types.
 */
export function issueText(
  issue: { readonly code?: string | undefined; readonly expected?: unknown; readonly message: string },
  value: string | undefined,
): string {
  if (issue.code !== 'invalid_type' || value === undefined) return issue.message;
  if (issue.expected === 'number') return `${value} is no number`;
  if (issue.expected === 'int') return `${value} is no whole number`;
  return issue.message;
}
