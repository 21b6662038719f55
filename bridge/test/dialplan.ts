/** Reads Asterisk's dialplan, and says where a value from outside could be more than text. */

/** One priority of a dialplan: `Set(a=b)` is application `Set` with `a=b`. */
export interface Step {
  readonly context: string;
  readonly application: string;
  readonly data: string;
}

/** What may be run: each reads its argument once. */
const APPLICATIONS = [
  ...['Set', 'Goto', 'GotoIf', 'Stasis', 'Transfer', 'Progress', 'Playback', 'Hangup', 'PJSIPHangup'],
];
/** What the operator wrote, or Asterisk counts. */
const OURS = [
  ...['ARI_APP', 'CONTEXT', 'PROVIDER_MAX_CALLS', 'PROVIDER_REGISTERS', 'PROVIDER_TRUST_HEADERS'],
  ...['PROVIDER_FALLBACK', 'PROVIDER_DOMAIN', 'FALLBACK'],
];
const OUR_FUNCTIONS = ['CHANNEL(endpoint)', 'CHANNEL(channeltype)'];
/** A FILTER that leaves nothing that means anything to a parser of Asterisk's. */
const PLAIN_SET = /^(?:\\x2d|[\w+*#.:])(?:\\x2d|-(?=[\w])|[\w+*#.:])*$/;

/** All steps of a dialplan file. */
export function readDialplan(text: string): Step[] {
  const steps: Step[] = [];
  let context = '';
  for (const line of text.split('\n')) {
    context = /^\[([^\]]+)\]/.exec(line)?.[1] ?? context;
    const [, application, data] =
      /^(?:exten =>|\s*same =>)\s*(?:[^,]+,)?(?:n|\d+)(?:\([\w-]+\))?,(\w+)\((.*)\)\s*$/.exec(line) ?? [];
    if (application !== undefined && data !== undefined) steps.push({ context, application, data });
    else if (/^\s*(exten|same)\s*=/.test(line)) steps.push({ context, application: `?${line}`, data: '' });
  }
  return steps;
}

/** What is wrong with a dialplan: one line each. */
export function dialplanFaults(steps: readonly Step[]): string[] {
  const plain = plainVariables(steps);
  return steps.flatMap(({ context, application, data }) => {
    const where = `[${context}] ${application}(${data})`;
    if (!APPLICATIONS.includes(application)) return [`${where}: is not among the applications that may run`];
    if (application !== 'Set') return isPlain(data, plain) ? [] : [`${where}: outside data decides`];
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(data) ?? [];
    if (name.includes('${')) return [`${where}: outside data names a variable`];
    return hasOnlySafeReads(value, plain) ? [] : [`${where}: outside data is an argument`];
  });
}

/** Variables that hold plain characters wherever they are set. */
function plainVariables(steps: readonly Step[]): ReadonlySet<string> {
  const sets = steps
    .filter(({ application }) => application === 'Set')
    .map(({ data }) => /^(\w+)=(.*)$/.exec(data))
    .flatMap((match) => (match ? [{ name: match[1] ?? '', value: match[2] ?? '' }] : []));
  // Begins with all, and takes away until nothing changes.
  const plain = new Set(sets.map(({ name }) => name));
  for (let size = -1; size !== plain.size; ) {
    size = plain.size;
    for (const { name, value } of sets) if (!isPlain(value, plain)) plain.delete(name);
  }
  return plain;
}

/** The outermost `${…}` and `$[…]` of a text, without their brackets. */
function expressions(text: string): { kind: '{' | '['; inner: string }[] {
  const found: { kind: '{' | '['; inner: string }[] = [];
  for (let at = text.indexOf('$'); at >= 0; at = text.indexOf('$', at)) {
    const kind = text[at + 1];
    if (kind !== '{' && kind !== '[') {
      at += 1;
      continue;
    }
    const close = kind === '{' ? '}' : ']';
    let depth = 1;
    let end = at + 2;
    for (; end < text.length && depth > 0; end += 1)
      depth += text[end] === kind ? 1 : text[end] === close ? -1 : 0;
    found.push({ kind, inner: text.slice(at + 2, end - 1) });
    at = end;
  }
  return found;
}

/** Whether a text holds nothing from outside but plain characters. */
function isPlain(text: string, plain: ReadonlySet<string>): boolean {
  return expressions(text).every(({ kind, inner }) => {
    if (kind === '[') return isPlain(inner, plain);
    const [, name, argument = ''] = /^(\w+)\((.*)\)$/.exec(inner) ?? [];
    if (name === undefined) return OURS.includes(inner) || plain.has(inner);
    if (name === 'LEN') return hasOnlySafeReads(argument, plain);
    if (name === 'FILTER') {
      const comma = argument.indexOf(',');
      return PLAIN_SET.test(argument.slice(0, comma)) && hasOnlySafeReads(argument.slice(comma + 1), plain);
    }
    return OUR_FUNCTIONS.includes(inner) || (name === 'GROUP_COUNT' && isPlain(argument, plain));
  });
}

/** Whether each function that a text calls gets plain arguments, unless it takes any text: then the text is a text. */
function hasOnlySafeReads(text: string, plain: ReadonlySet<string>): boolean {
  return expressions(text).every(({ kind, inner }) => {
    if (kind === '[') return isPlain(inner, plain);
    const [, name, argument = ''] = /^(\w+)\((.*)\)$/.exec(inner) ?? [];
    if (name === undefined) return /^\w+$/.test(inner);
    if (name === 'LEN' || name === 'URIENCODE') return hasOnlySafeReads(argument, plain);
    if (name === 'FILTER') return hasOnlySafeReads(argument.slice(argument.indexOf(',') + 1), plain);
    if (['EVAL', 'IF', 'SHELL', 'SET', 'IMPORT'].includes(name)) return false;
    return isPlain(argument, plain);
  });
}
