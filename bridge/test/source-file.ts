import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { parse } from '@babel/parser';

/** A file that another file imports. */
export interface Import {
  /** A path relative to the folder that was read, or the name of a package. */
  readonly target: string;
  readonly isType: boolean;
  /** The file is ours, not a package. */
  readonly isOurs: boolean;
}

/** A comment, as it stands in the file. */
export interface Comment {
  /** First line, from 1. */
  readonly line: number;
  readonly lastLine: number;
}

/** A node of the syntax tree; other fields depend on its type. */
export interface SyntaxNode {
  readonly type: string;
  readonly loc: { readonly start: { readonly line: number } };
  readonly [field: string]: unknown;
}

/** A TypeScript file and its syntax tree. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** Imports whose target cannot be read from the source, as `line: what`. */
  readonly hiddenImports: readonly string[];
  readonly comments: readonly Comment[];
  /** All nodes in the order of the text, parents first, with their ancestors, nearest first. */
  readonly nodes: readonly { readonly node: SyntaxNode; readonly parents: readonly SyntaxNode[] }[];
}

/** Ways to load code that this parser does not follow. */
const OTHER_LOADERS = new Set(['require', 'createRequire', 'getBuiltinModule', 'registerHooks']);

export const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === 'object' && value !== null && typeof (value as SyntaxNode).type === 'string';

/** The child nodes in the order of the text. */
function childrenOf(node: SyntaxNode): SyntaxNode[] {
  return Object.entries(node)
    .filter(([field]) => !/Comments$|^loc$|^extra$/.test(field))
    .flatMap(([, value]) => (Array.isArray(value) ? value : [value]))
    .filter(isNode);
}

/** All nodes below a node, and the node itself. */
function walk(root: SyntaxNode): { node: SyntaxNode; parents: readonly SyntaxNode[] }[] {
  const found: { node: SyntaxNode; parents: readonly SyntaxNode[] }[] = [];
  const visit = (node: SyntaxNode, parents: readonly SyntaxNode[]): void => {
    found.push({ node, parents });
    for (const child of childrenOf(node)) visit(child, [node, ...parents]);
  };
  visit(root, []);
  return found;
}

/** The text of a string literal, or of a template without expressions. */
export function literalText(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'StringLiteral') return node.value as string;
  if (node.type === 'TSLiteralType') return literalText(node.literal);
  if (node.type !== 'TemplateLiteral' || (node.expressions as unknown[]).length > 0) return undefined;
  const [quasi] = node.quasis as { value: { cooked: string } }[];
  return quasi?.value.cooked;
}

/** `new URL('./worker.ts', import.meta.url)`: the file of a thread. */
function urlOfFile(node: SyntaxNode): string | undefined {
  const [first, base] = node.type === 'NewExpression' ? (node.arguments as SyntaxNode[]) : [];
  const isHere = base?.type === 'MemberExpression' && (base.object as SyntaxNode).type === 'MetaProperty';
  const text = isHere ? literalText(first) : undefined;
  return text !== undefined && /\.[cm]?[jt]s$/.test(text) ? text : undefined;
}

/** The target of an import as its node, if the node is one. */
function targetOf(node: SyntaxNode): { target: unknown; isType: boolean } | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      return { target: node.source, isType: node.importKind === 'type' };
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node.source ? { target: node.source, isType: node.exportKind === 'type' } : undefined;
    case 'ImportExpression':
      return { target: node.source, isType: false };
    case 'TSImportType':
      return { target: node.source ?? node.argument, isType: true };
    case 'TSExternalModuleReference':
      return { target: node.expression, isType: false };
    default:
      return undefined;
  }
}

/** Parses a file. The path is relative to the folder that imports are told relative to. */
export function sourceFile(path: string, text: string): SourceFile {
  const tree = parse(text, { sourceType: 'module', plugins: ['typescript'] });
  const nodes = walk(tree.program as unknown as SyntaxNode);
  const imports: Import[] = [];
  const hiddenImports: string[] = [];
  for (const { node } of nodes) {
    const file = urlOfFile(node);
    const found = file === undefined ? targetOf(node) : { target: undefined, isType: false };
    const { line } = node.loc.start;
    if (found) {
      const target = file ?? literalText(found.target);
      if (target === undefined) hiddenImports.push(`${line}: import of an expression`);
      else if (target.startsWith('.'))
        imports.push({ target: normalize(join(dirname(path), target)), isType: found.isType, isOurs: true });
      else if (/^[#/]|^(file|data|https?):/.test(target)) hiddenImports.push(`${line}: ${target}`);
      else imports.push({ target, isType: found.isType, isOurs: false });
    }
    if (node.type === 'Identifier' && OTHER_LOADERS.has(node.name as string))
      hiddenImports.push(`${line}: ${node.name}`);
  }
  const comments = (tree.comments ?? []).map(({ loc }) => ({
    line: loc?.start.line ?? 0,
    lastLine: loc?.end.line ?? 0,
  }));
  return { path, text, imports, hiddenImports, comments, nodes };
}

/** All paths of files below a folder, links and hidden files too, but not what npm installed. */
export function pathsBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length))
    .filter((path) => !/(^|\/)node_modules\//.test(path))
    .sort();
}

/** Reads and parses a file. */
export const readSource = (folder: string, path: string): SourceFile =>
  sourceFile(path, readFileSync(join(folder, path), 'utf8'));

/** Reads and parses all TypeScript files below a folder. */
export const readSources = (folder: string): SourceFile[] =>
  pathsBelow(folder)
    .filter((path) => /\.[cm]?tsx?$/.test(path))
    .map((path) => readSource(folder, path));
