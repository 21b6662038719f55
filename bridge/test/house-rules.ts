import { isNode, literalText, type SourceFile, type SyntaxNode } from './source-file.ts';

/** Where the files of a house belong. */
export interface House {
  /** The rooms from top to bottom. A room may import from those behind it, and from leaves. */
  readonly order: readonly string[];
  /** Rooms that import nothing but files of their own. */
  readonly leaves: readonly string[];
  /** The only room that leaves may import too: constants that several of them have. */
  readonly base: string;
  readonly pureRooms: readonly string[];
  /** Files of pure rooms that may hold sockets, timers or clocks. */
  readonly ioFiles: ReadonlySet<string>;
  /** Files of the other rooms that are pure. */
  readonly pureFiles: ReadonlySet<string>;
  /** Packages and modules of Node that a pure file may import; of some, only these names. */
  readonly pureModules: ReadonlyMap<string, readonly string[] | undefined>;
}

const COMMENT_MAX_CHARS = 100;
/** Globals by which a file reaches a timer, clock, socket, log, randomness or the process. */
const IO_GLOBALS = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'console',
  'fetch',
  'WebSocket',
  'EventSource',
  'BroadcastChannel',
  'MessageChannel',
  'process',
  'crypto',
  'globalThis',
  'global',
  'eval',
  'Function',
]);
/** Nodes that leave the value of an expression as it is. */
const TRANSPARENT = new Set([
  'ParenthesizedExpression',
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
]);

/** Its folder, or the file itself where it is at the root. */
export const roomOf = (path: string): string => path.split('/')[0] as string;

/** Imports of our own files from other rooms, as pairs. */
const crossings = ({ path, imports }: SourceFile) =>
  imports.filter(({ target, isOurs }) => isOurs && roomOf(target) !== roomOf(path));

/** Arrows between rooms, as `from -> to`. */
export const arrows = (files: readonly SourceFile[]): Set<string> =>
  new Set(
    files.flatMap((file) => crossings(file).map(({ target }) => `${roomOf(file.path)} -> ${roomOf(target)}`)),
  );

/**
 * Each import, types too, that does not go down the spine, into a leaf or to the room's own files.
 */
export function upward(files: readonly SourceFile[], { order, leaves, base }: House): string[] {
  return files.flatMap((file) => {
    const place = order.indexOf(roomOf(file.path));
    const isAllowed = (to: string) =>
      to === base || (place >= 0 && (order.indexOf(to) > place || leaves.includes(to)));
    return crossings(file)
      .filter(({ target }) => !isAllowed(roomOf(target)))
      .map(({ target }) => `${file.path} -> ${target}`);
  });
}

/** Imports whose target the source does not show. */
export const hiddenImports = (files: readonly SourceFile[]): string[] =>
  files.flatMap((file) => file.hiddenImports.map((what) => `${file.path}:${what}`));

/** Files that import themselves by way of others, types too. */
export function inCircles(files: readonly SourceFile[]): string[] {
  const graph = new Map(files.map(({ path, imports }) => [path, imports.map(({ target }) => target)]));
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    (graph.get(from) ?? []).some(
      (next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))),
    );
  return [...graph.keys()].filter((path) => reaches(path, path));
}

/** Rooms that have no place in the order. */
export const homeless = (paths: readonly string[], { order, leaves }: House): string[] => [
  ...new Set(paths.map(roomOf).filter((room) => ![...order, ...leaves].includes(room))),
];

/** An expression without parentheses and assertions of types. */
function bare(expression: unknown): SyntaxNode | undefined {
  let node = isNode(expression) ? expression : undefined;
  while (node && TRANSPARENT.has(node.type)) node = isNode(node.expression) ? node.expression : undefined;
  return node;
}

/** The elements of an array or object literal. */
function membersOf(expression: unknown): readonly unknown[] | undefined {
  const node = bare(expression);
  if (node?.type === 'ObjectExpression') return node.properties as unknown[];
  return node?.type === 'ArrayExpression' ? (node.elements as unknown[]) : undefined;
}

/** `Object.assign`, `Object.freeze` and the like. */
const isCallOf = (node: SyntaxNode | undefined, object: string): boolean =>
  node?.type === 'CallExpression' &&
  isNode(node.callee) &&
  node.callee.type === 'MemberExpression' &&
  bare(node.callee.object)?.name === object;

/**
 * Whether an expression that is spread is a literal whose parts could stand there themselves. A
 * literal that stands there on a condition is none. But an object that is there or not has one
 * property, so that each property shows its own condition.
 */
function isPacking(expression: unknown): boolean {
  const node = bare(expression);
  if (!node) return false;
  if (membersOf(node)) return true;
  const isWide = (branch: unknown) =>
    bare(branch)?.type === 'ObjectExpression' && (membersOf(branch)?.length ?? 0) > 1;
  if (node.type === 'ConditionalExpression') {
    const branches = [node.consequent, node.alternate];
    const isConstant = /Literal$/.test(bare(node.test)?.type ?? '');
    if (isConstant) return branches.some(isPacking);
    return branches.some(isWide) && branches.some((branch) => membersOf(branch)?.length === 0);
  }
  if (node.type === 'LogicalExpression') return node.operator === '&&' && isWide(node.right);
  if (node.type === 'SequenceExpression') return isPacking((node.expressions as unknown[]).at(-1));
  return isCallOf(node, 'Object') && (node.arguments as unknown[]).some((given) => membersOf(given));
}

/** Whether a literal is made only to be taken apart at once. */
function isPacked(node: SyntaxNode): boolean {
  if (node.type === 'SpreadElement') return isPacking(node.argument);
  if (node.type === 'VariableDeclarator')
    return /Pattern$/.test((node.id as SyntaxNode).type) && (membersOf(node.init)?.length ?? 0) > 0;
  if (!isCallOf(node, 'Object')) return false;
  const given = (node.arguments as unknown[]).map(membersOf);
  return given[0]?.length === 0 && given.slice(1).some((members) => members !== undefined);
}

/**
 * Literals that are made only to be taken apart at once, as `path:line`: they pack lines, and hide
 * the shape of what is made.
 */
export const packed = (files: readonly SourceFile[]): string[] =>
  files.flatMap(({ path, nodes }) =>
    nodes.filter(({ node }) => isPacked(node)).map(({ node }) => `${path}:${node.loc.start.line}`),
  );

/** Whether an identifier stands for a variable, and not for a property or a type. */
function isReference(node: SyntaxNode, [parent]: readonly SyntaxNode[]): boolean {
  if (node.type !== 'Identifier' || !parent || /^TS(?!As|Satisfies|NonNull)/.test(parent.type)) return false;
  if (/^(Optional)?MemberExpression$/.test(parent.type))
    return parent.object === node || parent.computed === true;
  if (/^(Class|Object)(Private)?(Property|Method)$/.test(parent.type) && parent.key === node)
    return parent.shorthand === true || parent.computed === true;
  return !/^(Import|Export).*Specifier$/.test(parent.type);
}

/** A use of the clock by `Date`, or of `Math.random`. `new Date(ms)` and `Date.parse` are pure. */
function isClockOrDice(node: SyntaxNode, [parent]: readonly SyntaxNode[]): boolean {
  const property =
    parent?.type === 'MemberExpression' && parent.computed !== true && (parent.property as SyntaxNode);
  const member = property ? (property.name as string) : undefined;
  if (node.name === 'Math') return member === undefined || member === 'random';
  if (node.name !== 'Date') return false;
  const isMade = parent?.type === 'NewExpression' && (parent.arguments as unknown[]).length > 0;
  const isInstance = parent?.type === 'BinaryExpression' && parent.operator === 'instanceof';
  return !isMade && !isInstance && !['parse', 'UTC', 'prototype'].includes(member ?? '');
}

/** Names that a file declares itself, such as a parameter `process`. */
function ownNames({ nodes }: SourceFile): Set<string> {
  const declared = nodes.flatMap(({ node, parents: [parent] }) => {
    if (node.type !== 'Identifier' || !parent) return [];
    const isDeclared =
      (parent.type === 'VariableDeclarator' && parent.id === node) ||
      parent.type === 'ArrayPattern' ||
      (/Function|Method/.test(parent.type) && (parent.params as unknown[] | undefined)?.includes(node)) ||
      /^Import.*Specifier$/.test(parent.type);
    return isDeclared ? [node.name as string] : [];
  });
  return new Set(declared);
}

/** Uses of globals, as `line: name`. */
function globalUses(file: SourceFile, names: ReadonlySet<string>): string[] {
  const own = ownNames(file);
  return file.nodes
    .filter(({ node, parents }) => isReference(node, parents) && !own.has(node.name as string))
    .filter(({ node, parents }) => names.has(node.name as string) || isClockOrDice(node, parents))
    .map(({ node }) => `${node.loc.start.line}: ${node.name}`);
}

/** What a file imports or exports again of modules that are not ours, types apart. */
const foreignNames = ({ nodes }: SourceFile) =>
  nodes
    .filter(({ node }) => /^(Import|Export(Named|All))Declaration$/.test(node.type) && node.source)
    .filter(({ node }) => (node.importKind ?? node.exportKind) !== 'type')
    .flatMap(({ node }) => {
      const module = literalText(node.source) as string;
      const parts = (node.specifiers ?? []) as SyntaxNode[];
      const names = parts
        .filter(({ importKind }) => importKind !== 'type')
        .map(({ imported, local, type }) => {
          const name = type === 'ExportSpecifier' ? local : imported;
          return isNode(name) ? (name.name as string) : '*';
        });
      return (names.length === 0 ? ['*'] : names).map((name) => ({ module, name }));
    })
    .filter(({ module }) => !module.startsWith('.'));

/** What a pure file holds that it must not, as `path: what` or `path:line: what`. */
export function impure(files: readonly SourceFile[], house: House): string[] {
  const { pureModules } = house;
  const isAllowed = (module: string, name: string) =>
    pureModules.has(module) && (pureModules.get(module)?.includes(name) ?? true);
  return files.flatMap((file) => {
    const isPure = house.pureRooms.includes(roomOf(file.path)) || house.pureFiles.has(file.path);
    if (!isPure || house.ioFiles.has(file.path)) return [];
    const used = file.imports.filter(({ isType }) => !isType);
    const wrong = used.filter(({ target, isOurs }) =>
      isOurs ? house.ioFiles.has(target) : !pureModules.has(target),
    );
    const names = foreignNames(file).filter(
      ({ module, name }) => pureModules.has(module) && !isAllowed(module, name),
    );
    return [
      ...wrong.map(({ target }) => `${file.path}: ${target}`),
      ...names.map(({ module, name }) => `${file.path}: ${name} of ${module}`),
      ...globalUses(file, IO_GLOBALS).map((use) => `${file.path}:${use}`),
    ];
  });
}

/** Files that read the environment of the process, in whatever way. */
export function environmentReaders(files: readonly SourceFile[]): string[] {
  const isReader = (file: SourceFile): boolean => {
    if (file.imports.some(({ target }) => /^(node:)?process$/.test(target))) return true;
    const own = ownNames(file);
    return file.nodes.some(({ node, parents }) => {
      if (!isReference(node, parents) || own.has(node.name as string)) return false;
      if (node.name === 'globalThis' || node.name === 'global') return true;
      if (node.name !== 'process') return false;
      const [parent] = parents;
      const isMember = parent?.type === 'MemberExpression' && parent.computed !== true;
      return !isMember || /^(env|loadEnvFile)$/.test(`${(parent.property as SyntaxNode).name}`);
    });
  };
  return files.filter(isReader).map(({ path }) => path);
}

/** Lines of comments that are longer than {@link COMMENT_MAX_CHARS}, as `path:line`. */
export const longComments = (files: readonly SourceFile[]): string[] =>
  files.flatMap(({ path, text, comments }) => {
    const lines = text.split('\n');
    return comments.flatMap(({ line: first, lastLine }) =>
      lines
        .slice(first - 1, lastLine)
        .flatMap((line, index) => ([...line].length > COMMENT_MAX_CHARS ? [`${path}:${first + index}`] : [])),
    );
  });

/** A type that follows from a value, which has the comment: `(typeof NAMES)[number]`, `z.infer`. */
const followsFromValue = (declaration: SyntaxNode, file: SourceFile): boolean =>
  declaration.type === 'TSTypeAliasDeclaration' &&
  /\btypeof /.test(file.text.slice(declaration.start as number, declaration.end as number));

/** Exports without a doc comment, as `path:line`. */
export const undocumented = (files: readonly SourceFile[]): string[] =>
  files.flatMap((file) =>
    file.nodes
      .filter(({ node }) => /^Export(Named|Default)Declaration$/.test(node.type) && isNode(node.declaration))
      .filter(({ node }) => !followsFromValue(node.declaration as SyntaxNode, file))
      .filter(({ node }) => {
        const comments = (node.leadingComments ?? []) as { type: string; value: string }[];
        return !comments.some(({ type, value }) => type === 'CommentBlock' && /^\*\W*\w/.test(value));
      })
      .map(({ node }) => `${file.path}:${node.loc.start.line}`),
  );

/** Files with more lines than are allowed, as `path: lines`. */
export const tooLong = (files: readonly SourceFile[], linesMax: number): string[] =>
  files
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > linesMax)
    .map(({ path, lines }) => `${path}: ${lines}`);
