// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Asterisk's
/**
 * Reads Asterisk's dialplan. Finds where a value from outside could be more than text, or where a
 * channel could enter that must not.
 */

/** One priority of a dialplan: `Set(a=b)` is application `Set` with `a=b`. */
export interface Step {
  readonly context: string;
  readonly extension: string;
  readonly priority: number;
  /** Empty where it has none. */
  readonly label: string;
  readonly application: string;
  readonly data: string;
}

/** A dialplan, as far as every line of it is of a form that is known here. */
export interface Dialplan {
  readonly steps: readonly Step[];
  /** Who may enter a context, as the comment under its name says. */
  readonly contexts: ReadonlyMap<string, string>;
  /** Lines of no known form: Asterisk may read in them what this reader does not. */
  readonly unknown: readonly string[];
}

/** What may be run: each reads its argument once. */
const APPLICATIONS = [
  'Set',
  'Goto',
  'GotoIf',
  'Stasis',
  'Transfer',
  'Progress',
  'Playback',
  'Hangup',
  'PJSIPHangup',
  'Wait',
  'Ringing',
];
/** What the operator wrote, or Asterisk counts: nothing in the dialplan sets them. */
const OURS = [
  'ARI_APP',
  'CONTEXT',
  'PROVIDER_MAX_CALLS',
  'PROVIDER_REGISTERS',
  'PROVIDER_TRUST_HEADERS',
  'PROVIDER_FALLBACK',
  'PROVIDER_DOMAIN',
  'PROVIDER_SHARES',
  'FALLBACK',
  'TURN_AWAY',
  'EPOCH',
  'BRIDGE_WAIT_S',
];
const OUR_FUNCTIONS = ['CHANNEL(endpoint)', 'CHANNEL(channeltype)', 'CHANNEL(state)'];
/**
 * Functions that take plain values when written. The caller's number and name are texts: they take
 * any value.
 */
const WRITTEN_PLAIN = ['GROUP(provider)', 'TIMEOUT(absolute)'];
const WRITTEN_TEXT = ['CALLERID(num)', 'CALLERID(name)'];
/**
 * A FILTER that leaves no character with a meaning to Asterisk's parsers. Ranges only within digits
 * or letters of one case: other ranges, such as `+-9`, contain characters with a meaning.
 */
const PLAIN_SET = /^(?:\\x2d|[0-9]-[0-9]|[a-z]-[a-z]|[A-Z]-[A-Z]|[\w+*#.:])+$/;

const COMMENT = /^;(?!-)/;
const SECTION = /^\[([\w-]+)\]$/;
const STEP =
  /^(?:exten => (?<extension>[^,;]+),(?<priority>\d+)| same => n)(?:\((?<label>[\w-]+)\))?,(?<application>\w+)\((?<data>.*)\)$/;
/**
 * Of all providers, unless a provider has its own: the operator's setting, inserted at the start.
 */
const GLOBALS = ['PROVIDER_FALLBACK = ${FALLBACK}'];
/** Variables of ours: the app's name is inserted at the start. */
const OF_APP = /\b(PIPECAT_[A-Z]+)_\$\{ARI_APP\}/g;
/** The operator's own dialplan. */
const INCLUDES = ['#tryinclude /etc/asterisk-providers/*.conf'];

/** Reads a dialplan file, line by line; what is of no known form is named, not guessed at. */
export function readDialplan(text: string): Dialplan {
  const steps: Step[] = [];
  const contexts = new Map<string, string>();
  const unknown: string[] = [];
  let context = '';
  let extension = '';
  const lines = text.replaceAll(OF_APP, '$1').split('\n');
  for (const [i, line] of lines.entries()) {
    const section = SECTION.exec(line)?.[1];
    const step = STEP.exec(line)?.groups;
    if (line === '' || COMMENT.test(line) || INCLUDES.includes(line)) continue;
    if (section !== undefined && !contexts.has(section)) {
      context = section;
      contexts.set(context, /^; May enter: (\w+ channels)/.exec(lines[i + 1] ?? '')?.[1] ?? '');
    } else if (context === 'globals' && GLOBALS.includes(line)) continue;
    // A semicolon without a backslash before it begins a comment, wherever it stands.
    else if (step === undefined || context === '' || context === 'globals' || /(?<!\\);/.test(line)) {
      unknown.push(line);
    } else {
      const { label = '', application = '', data = '' } = step;
      extension = step.extension ?? extension;
      steps.push({ context, extension, priority: Number(step.priority ?? 0), label, application, data });
    }
  }
  return { steps, contexts, unknown };
}

/** Where outside data is more than text: one line each. */
export function dialplanFaults({ steps, unknown }: Dialplan): string[] {
  const plain = plainVariables(steps);
  const faults = steps.flatMap((step) => {
    const { context, application, data } = step;
    const where = `[${context}] ${application}(${data})`;
    if (!APPLICATIONS.includes(application)) return [`${where}: is not among the applications that may run`];
    if (application !== 'Set') return isPlain(data, plain) ? [] : [`${where}: outside data decides`];
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(data) ?? [];
    if (name.includes('${')) return [`${where}: outside data names a variable`];
    if (OURS.includes(name)) return [`${where}: is not the dialplan's to set`];
    if (WRITTEN_PLAIN.includes(name)) return isPlain(value, plain) ? [] : [`${where}: outside data decides`];
    if (!WRITTEN_TEXT.includes(name) && !/^[A-Za-z]\w*$/.test(name))
      return [`${where}: is not among the functions that may be written`];
    return hasOnlySafeReads(value, plain) ? [] : [`${where}: outside data is an argument`];
  });
  return [...unknown.map((line) => `is no line of a known form: ${line}`), ...faults];
}

/** Where a channel could come in that was not asked what it is: one line each. */
export function entranceFaults({ steps, contexts }: Dialplan): string[] {
  const faults: string[] = [];
  for (const [context, who] of contexts) {
    if (context === 'globals') continue;
    const own = steps.filter((step) => step.context === context);
    if (who !== 'PJSIP channels' && who !== 'no channels')
      faults.push(`[${context}] does not say who may enter`);
    if (who === 'no channels' && own.length > 0) faults.push(`[${context}] has steps, and nobody may enter`);
    for (const entrance of own.filter(({ priority }) => priority > 0))
      if (!isGuarded(entrance, own, contexts)) faults.push(`[${context}] ${entrance.extension} asks nobody`);
  }
  return [...faults, ...steps.flatMap((step) => jumpFaults(step))];
}

/**
 * Whether an extension begins with the check and rejects all others; or contains nothing that lets
 * a channel in.
 */
function isGuarded(
  { extension, priority, application, data }: Step,
  own: readonly Step[],
  contexts: ReadonlyMap<string, string>,
): boolean {
  if (priority !== 1) return false;
  const all = stepsOf(extension, own);
  // A channel that is at its end, or in the context already.
  if (extension === 'h') return all.every((step) => ['Set', 'Hangup'].includes(step.application));
  if (extension === 'T') return true;
  const [, context = ''] = application === 'Goto' ? (/^([\w-]+),s,1$/.exec(data) ?? []) : [];
  if (contexts.get(context) === 'PJSIP channels' && all.length === 1) return true;
  const question = /^\$\["\$\{CHANNEL\(channeltype\)\}" != "PJSIP"\]\?([\w-]+)$/.exec(data);
  const turnedAway = all.find(({ label }) => label === question?.[1]);
  return application === 'GotoIf' && turnedAway?.application === 'Hangup';
}

function stepsOf(extension: string, own: readonly Step[]): Step[] {
  return own.filter((step) => step.extension === extension);
}

/**
 * A jump to another context or extension goes to its first step: otherwise it would skip the check.
 */
function jumpFaults({ context, application, data }: Step): string[] {
  if (application !== 'Goto' && application !== 'GotoIf') return [];
  const places = application === 'Goto' ? [data] : data.slice(data.lastIndexOf(']?') + 2).split(':');
  return places
    .filter((place) => place.includes(',') && !place.endsWith(',1'))
    .map((place) => `[${context}] jumps to ${place}, behind the question`);
}

/** What a step before any way out of the endpoints' context has checked, counted or filtered. */
const CHECKED = [
  /^GotoIf\(.*EXTEN.*\?unreadable,s,1\)$/,
  /^GotoIf\(.*call-id.*\?unreadable,s,1\)$/,
  /^Set\(GROUP\(provider\)=/,
  /^GotoIf\(.*PROVIDER_MAX_CALLS.*\?full\)$/,
  ...['PROVIDER', 'DID', 'FROM', 'PRESENTATION'].map((name) => new RegExp(`^Set\\(INBOUND_${name}=`)),
  /^Set\(CALLERID\(num\)=/,
  /^Set\(CALLERID\(name\)=/,
];
/** Any number or name, also each special extension. */
const ANY_USER = '_[+*#0-9a-zA-Z]!';
/** Only a channel that is no new inbound call goes past the checks. */
const NO_NEW_CALL = 'GotoIf($["${CHANNEL(state)}" != "Ring" | ${LEN(${INBOUND_WAIT_S})} > 0]?back)';

/**
 * Where a caller could go past a check of the endpoints' context, by the extension that the INVITE
 * names or by an early way out: one line each.
 */
export function bypassFaults({ steps }: Dialplan, context: string): string[] {
  const faults: string[] = [];
  const own = steps.filter((step) => step.context === context);
  for (const { extension, application, data, priority } of own) {
    const isRefusal = extension === 'h' && application === 'Hangup' && data === '' && priority === 1;
    if (extension !== ANY_USER && !isRefusal) faults.push(`[${context}] ${extension} goes past the checks`);
  }
  const lines = stepsOf(ANY_USER, own).map(({ label, application, data }) => ({
    label,
    text: `${application}(${data})`,
  }));
  const back = lines.findIndex(({ label }) => label === 'back');
  const wait = lines.findIndex(({ text }) => text.startsWith('Set(INBOUND_WAIT_S='));
  const checked = Math.max(
    ...CHECKED.map((check) => {
      const at = lines.findIndex(({ text }) => check.test(text));
      return at < 0 ? lines.length : at;
    }),
  );
  for (const [at, { text }] of lines.entries()) {
    const leaves = /^Stasis\(/.test(text) || (/^Goto/.test(text) && /,\d+\)$/.test(text));
    const goesBack = /^Goto(?:If)?\((?:.*\?)?(?:.*:)?back(?::.*)?\)$/.test(text);
    const isAllowed = text === NO_NEW_CALL || text.endsWith('?unreadable,s,1)');
    if (at <= checked && (leaves || goesBack) && !isAllowed) faults.push(`[${context}] ${text} is too early`);
  }
  // Whoever waited has passed the checks only if nothing sets it before them.
  if (wait <= checked || back <= checked) faults.push(`[${context}] the way back is before the checks`);
  return faults;
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

/**
 * Whether each function call in a text gets plain arguments. Functions that take any text are
 * exempt.
 */
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
