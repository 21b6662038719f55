/** Fills a SIPp scenario's template. Pure. */

/**
 * Replaces `{{> part}}` by the part of that name, then `{{name}}` by its value.
 * Throws an Error that names what is missing.
 */
export function fillScenario(
  template: string,
  part: (name: string) => string,
  values: Readonly<Record<string, string | number>>,
): string {
  const whole = template.replace(/\{\{> ([\w-]+)\}\}\n/g, (_, name: string) =>
    fillScenario(part(name), part, values),
  );
  return whole.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the scenario needs a value for ${name}`);
    return String(value);
  });
}
