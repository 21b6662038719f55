import { isNode, type SourceFile, type SyntaxNode } from './source-file.ts';

/** What a node calls, such as `log.error`: the names of the member and of what it belongs to. */
export interface Called {
  readonly file: SourceFile;
  readonly node: SyntaxNode;
  /** Name of the function or method, without `#`. */
  readonly name: string;
  /** Name of the object, without `#`. Empty without an object. */
  readonly object: string;
  readonly given: readonly SyntaxNode[];
}

/** The name that an expression ends with: `log` for `this.#context.log`. */
function lastName(node: unknown): string {
  if (!isNode(node)) return '';
  if (/^(Optional)?MemberExpression$/.test(node.type)) return lastName(node.property);
  if (node.type === 'PrivateName') return lastName(node.id);
  if (/^(Optional)?CallExpression$/.test(node.type)) return lastName(node.callee);
  return node.type === 'Identifier' ? (node.name as string) : '';
}

/** All calls, and all `new`, of some files. */
export const callsIn = (files: readonly SourceFile[]): Called[] =>
  files.flatMap((file) =>
    file.nodes
      .filter(({ node }) => /^((Optional)?Call|New)Expression$/.test(node.type))
      .map(({ node }) => ({
        file,
        node,
        name: lastName(node.callee),
        object: lastName((node.callee as SyntaxNode).object),
        given: node.arguments as SyntaxNode[],
      })),
  );

/** The source of a node. */
export const sourceOf = ({ text }: SourceFile, node: SyntaxNode): string =>
  text.slice(node.start as number, node.end as number);

/** The values that an expression may have, and the parts of it that are no literals. */
export function valuesOf(
  file: SourceFile,
  node: SyntaxNode | undefined,
): { texts: string[]; opaque: string[] } {
  if (node === undefined) return { texts: [], opaque: ['nothing'] };
  const both = (...parts: unknown[]) => {
    const found = parts.map((part) => valuesOf(file, part as SyntaxNode));
    return { texts: found.flatMap(({ texts }) => texts), opaque: found.flatMap(({ opaque }) => opaque) };
  };
  switch (node.type) {
    case 'StringLiteral':
    case 'NumericLiteral':
      return { texts: [`${node.value}`], opaque: [] };
    case 'TemplateLiteral': {
      const quasis = node.quasis as { value: { cooked: string } }[];
      return { texts: [quasis.map(({ value }) => value.cooked).join('…')], opaque: [] };
    }
    case 'ConditionalExpression':
      return both(node.consequent, node.alternate);
    case 'LogicalExpression':
      return both(node.left, node.right);
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
      return both(node.expression);
    case 'Identifier': {
      const constant = file.nodes.find(
        ({ node: declarator, parents: [parent] }) =>
          declarator.type === 'VariableDeclarator' &&
          parent?.kind === 'const' &&
          (declarator.id as SyntaxNode).name === node.name &&
          /Literal$/.test((declarator.init as SyntaxNode | null)?.type ?? ''),
      );
      return constant ? both(constant.node.init) : { texts: [], opaque: [`${node.name}`] };
    }
    default:
      return { texts: [], opaque: [sourceOf(file, node)] };
  }
}
