import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const LINE_MAX = 100;
const CELL_MAX = 120;
/** The beginning or end of a block of code. */
const FENCE = /^ *(`{3,}|~{3,})(.*)$/;

/** The lines of a document that are prose, and the line of a block of code without an end. */
function proseLines(text: string): { lines: [number: number, line: string][]; open: number | undefined } {
  const lines: [number: number, line: string][] = [];
  let fence = '';
  let open: number | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [, marks = '', info = ''] = FENCE.exec(line) ?? [];
    const isEnd = fence !== '' && marks.startsWith(fence) && info.trim() === '';
    if (isEnd) {
      fence = '';
      open = undefined;
    } else if (fence === '' && marks !== '') {
      fence = marks;
      open = index + 1;
    } else if (fence === '') lines.push([index + 1, line]);
  }
  return { lines, open };
}

/** A document without its blocks of code, which hold neither links nor headings. */
const proseOf = (text: string): string =>
  proseLines(text)
    .lines.map(([, line]) => line)
    .join('\n');

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(text: string): string[] {
  const seen = new Map<string, number>();
  return [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
    const shown = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = shown.replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** Everything that a document links to: inline, by reference, or in HTML. */
function linksOf(text: string): string[] {
  const plain = text.replaceAll(/`[^`\n]*`/g, '``');
  const inline = [...plain.matchAll(/\]\(\s*(?:<([^>\n]*)>|([^)\s]*))[^)]*\)/g)].map(
    ([, bracketed, bare]) => bracketed ?? bare ?? '',
  );
  const html = [...plain.matchAll(/\b(?:href|src)\s*=\s*["']?([^"'\s>]*)/gi)].map(
    ([, target]) => target ?? '',
  );
  const defined = new Map(
    [...plain.matchAll(/^ {0,3}\[([^\]\n]+)\]:\s*<?(\S+?)>?(?:\s.*)?$/gm)].map(
      ([, name = '', target = '']) => [name.toLowerCase(), target],
    ),
  );
  const named = [...plain.matchAll(/\[([^\][\n]+)\]\[([^\][\n]*)\]/g)]
    .map(([, text = '', name]) => name || text)
    .filter((name) => !defined.has(name.toLowerCase()))
    .map((name) => `[${name}]`);
  return [...inline, ...html, ...defined.values(), ...named];
}

/** Broken relative links in some documents of a directory, as `file: target`. */
export function deadLinks(directory: string, files: readonly string[] = documentsIn(directory)): string[] {
  const textOf = (path: string) => proseOf(readFileSync(join(directory, path), 'utf8'));
  return files.flatMap((file) =>
    linksOf(textOf(file))
      .filter((link) => {
        if (/^(https?|mailto):/.test(link)) return false;
        const [target = '', anchor] = link.split('#');
        const path = target === '' ? file : normalize(join(dirname(file), target));
        if (link === '' || !existsSync(join(directory, path))) return true;
        return anchor !== undefined && !anchors(textOf(path)).includes(anchor);
      })
      .map((link) => `${file}: ${link}`),
  );
}

/** Files of a directory by patterns, but not those of packages. */
const filesIn = (directory: string, patterns: string[]): string[] =>
  globSync(patterns, { cwd: directory, exclude: (path) => /node_modules|^\.git$/.test(path) }).sort();

/** All documents below a directory, but not those of packages. */
export const documentsIn = (directory: string): string[] => filesIn(directory, ['**/*.md']);

/** Files with comments that are not TypeScript: scripts, settings, images, programs in C. */
const COMMENTED = [
  '.env.example',
  '**/*.{sh,conf,env,yaml,mk,c,h}',
  '**/Dockerfile*',
  '**/Makefile',
  'asterisk/*',
  '.ci/*',
];
/** A line that is only comment in one of these languages, or ends with a comment of C. */
const COMMENT_LINE = /^\s*(#|;|\/\/|\/\*|\*(\s|\/|$))|\/\*.*\*\/\s*$/;

/** Those files of a directory, without documents and folders. */
export const commentedIn = (directory: string): string[] =>
  filesIn(directory, COMMENTED).filter(
    (path) => !path.endsWith('.md') && statSync(join(directory, path)).isFile(),
  );

/** Comment lines of such a file that are too long, as `file:line`. */
export const longCommentLines = (file: string, text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, index) =>
      [...line].length > LINE_MAX && COMMENT_LINE.test(line) ? [`${file}:${index + 1}`] : [],
    );

/**
 * Faults in the layout of a document, as `file:line`: lines of prose and cells of tables that are
 * too long, rows of a table that were run together, headings without an empty line below them, and
 * blocks of code without an end.
 */
export function badLayout(file: string, text: string): string[] {
  const { lines, open } = proseLines(text);
  const all = text.split('\n');
  const found = lines.filter(([number, line]) => {
    const isRow = line.trimStart().startsWith('|');
    const cells = isRow ? line.split('|').map((cell) => cell.trim()) : [line];
    const isTooLong = cells.some((cell) => [...cell].length > (isRow ? CELL_MAX : LINE_MAX));
    const isRunTogether = line.includes('|---') && !/^ *\|(-+\|)+$/.test(line);
    const isHeading = /^#+ /.test(line);
    return isTooLong || isRunTogether || (isHeading && (all[number] ?? '') !== '');
  });
  const places = found.map(([number]) => number);
  return [...places, ...(open === undefined ? [] : [open])].map((number) => `${file}:${number}`);
}
