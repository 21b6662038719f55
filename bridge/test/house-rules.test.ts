import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  environmentReaders,
  type House,
  hiddenImports,
  homeless,
  impure,
  inCircles,
  longComments,
  packed,
  tooLong,
  undocumented,
  upward,
} from './house-rules.ts';
import { sourceFile } from './source-file.ts';

const HOUSE: House = {
  order: ['main.ts', 'call', 'media', 'config'],
  leaves: ['audio', 'rtp', 'units'],
  base: 'units',
  pureRooms: ['audio'],
  ioFiles: new Set(['audio/clock.ts', 'rtp/socket.ts']),
  pureFiles: new Set(['call/outcome.ts']),
  pureModules: new Map([
    ['zod', undefined],
    ['node:crypto', ['createHash']],
  ]),
};

const files = (...given: [path: string, text: string][]) =>
  given.map(([path, text]) => sourceFile(path, text));

/** One file of a room that may not import `call`. */
const fromMedia = (text: string) => files(['media/pool.ts', text]);
const UP = ['media/pool.ts -> call/call.ts'];

describe('an import upward is found', () => {
  for (const [about, text] of [
    ['of a value', "import { Call } from '../call/call.ts';"],
    ['of a type', "import type { Call } from '../call/call.ts';"],
    ['over several lines', "import {\n  Call, // the call;\n  type Other,\n} from '../call/call.ts';"],
    ['for its side effects', "import '../call/call.ts';"],
    ['with attributes', "import call from '../call/call.ts' with { type: 'json' };"],
    ['in double quotes', 'import { Call } from "../call/call.ts";'],
    ['behind another on its line', "import { a } from './a.ts'; import { Call } from '../call/call.ts';"],
    ['behind a comment', "import /* ; */ { Call } /* from './a.ts' */ from '../call/call.ts';"],
    ['of everything', "import * as call from '../call/call.ts';"],
    ['that is exported again', "export { Call } from '../call/call.ts';"],
    ['that is exported again as a whole', "export * from '../call/call.ts';"],
    ['while it runs', "const { Call } = await import('../call/call.ts');"],
    ['while it runs, in a template', 'await import(`../call/call.ts`);'],
    ['while it runs, with options', "await import('../call/call.ts', {});"],
    ['while it runs, on a line of its own', "await import(\n  '../call/call.ts'\n);"],
    ['of a type in place', "let call: import('../call/call.ts').Call;"],
    ['in the older form', "import call = require('../call/call.ts');"],
    ['of a thread', "new Worker(new URL('../call/call.ts', import.meta.url));"],
  ] as const) {
    test(about, () => {
      assert.deepEqual([...new Set(upward(fromMedia(text), HOUSE))], UP);
    });
  }

  test('by a leaf, from another leaf or a file at the root', () => {
    const leaves = files(
      ['rtp/receiver.ts', "import type { Fade } from '../audio/fade.ts';"],
      ['audio/fade.ts', "import type { Logger } from '../log.ts';"],
    );
    assert.deepEqual(upward(leaves, HOUSE), ['rtp/receiver.ts -> audio/fade.ts', 'audio/fade.ts -> log.ts']);
  });

  test('but not one that goes down, or stands in a comment or a text', () => {
    const text = `import { a } from '../config/a.ts'; import { b } from '../rtp/b.ts';
      // import { Call } from '../call/call.ts';
      const text = "import { Call } from '../call/call.ts';";`;
    assert.deepEqual(upward(fromMedia(text), HOUSE), []);
  });
});

describe('an import that does not show what it loads is found', () => {
  for (const [about, text] of [
    ['an expression', 'await import(name);'],
    ['a template with a part', `await import(\`../\${room}/call.ts\`);`],
    ['require', "const { Call } = createRequire(import.meta.url)('../call/call.ts');"],
    ['a builtin by name', "process.getBuiltinModule('fs');"],
    ['an alias of package.json', "import { Call } from '#call/call.ts';"],
    ['a URL', "import { Call } from 'file:///app/src/call/call.ts';"],
    ['an absolute path', "await import('/app/src/call/call.ts');"],
  ] as const) {
    test(about, () => {
      assert.notDeepEqual(hiddenImports(fromMedia(text)), []);
    });
  }
});

test('a circle of types, and one by way of a thread, are found', () => {
  const circles = files(
    ['call/a.ts', "import type { B } from './b.ts';"],
    ['call/b.ts', "import type { C } from './c.ts';"],
    ['call/c.ts', "import type { A } from './a.ts';"],
    ['call/d.ts', "import type { A } from './a.ts';"],
    ['media/e.ts', "new Worker(new URL('./f.ts', import.meta.url));"],
    ['media/f.ts', "import './e.ts';"],
  );
  assert.deepEqual(inCircles(circles), ['call/a.ts', 'call/b.ts', 'call/c.ts', 'media/e.ts', 'media/f.ts']);
});

describe('a literal that is made only to be spread', () => {
  for (const text of [
    'f({ ...{ b, c }, d });',
    'f({ ... { b, c } });',
    'f({ ...({ b, c }) });',
    'f({ ...({ b, c } as const) });',
    'f({ ...({ b } satisfies B)! });',
    'f({ ...(true ? { b } : {}) });',
    'f({ ...(b ? { b, c } : {}) });',
    'f({ ...(b && { b, c }) });',
    'f({ ...(0, { b }) });',
    'f({ ...Object.freeze({ b }) });',
    'f(Object.assign({}, { b, c }));',
    'f([...[b, c], d]);',
    "f([...(['b', 'c'] as const)]);",
    'f(...[b, c]);',
    'new F(...[b, c]);',
    'const { b, c } = { b: 1, c: 2 };',
    'let [b, c] = [1, 2];',
  ]) {
    test(`is found: ${text}`, () => {
      assert.deepEqual(packed(files(['call/a.ts', text])), ['call/a.ts:1']);
    });
  }

  for (const text of [
    'f({ ...b, c });',
    'f({ ...(b === undefined ? {} : { b }) });',
    'f([...(b ? [b, c] : [])]);',
    'f([...[b, c].map(g)]);',
    "f({ ...(c ? { status } : { method, text: '' }) });",
    'f(Object.assign(new Error(code), { code }));',
    '[b, c] = [c, b];',
    'const { b } = c;',
    "'...{ b }'; // ...{ b }",
  ]) {
    test(`is none: ${text}`, () => {
      assert.deepEqual(packed(files(['call/a.ts', text])), []);
    });
  }
});

describe('in a pure file', () => {
  for (const text of [
    'setTimeout(f, 1);',
    '/** x */ const now = Date.now();',
    'new Date();',
    'new Date;',
    'const { now } = Date;',
    'Math.random();',
    'const { random } = Math;',
    'performance.now();',
    'process.hrtime();',
    'process.env.A;',
    'fetch(url);',
    'console.log(a);',
    'crypto.randomUUID();',
    'globalThis.fetch(url);',
    "import { lookup } from 'node:dns';",
    "import { spawn } from 'node:child_process';",
    "import 'node:fs';",
    "import { randomBytes } from 'node:crypto';",
    "import * as crypto from 'node:crypto';",
    "export { randomBytes } from 'node:crypto';",
    "import { request } from 'undici';",
    "import { now } from './clock.ts';",
    "await import('../rtp/socket.ts');",
  ]) {
    test(`is found: ${text}`, () => {
      assert.notDeepEqual(impure(files(['audio/tone.ts', text]), HOUSE), []);
      assert.notDeepEqual(
        impure(files(['call/outcome.ts', text.replace('./clock', '../audio/clock')]), HOUSE),
        [],
      );
      assert.deepEqual(impure(files(['audio/clock.ts', text]), HOUSE), []);
    });
  }

  for (const text of [
    '// Date.now()',
    'new Date(ms).toISOString();',
    'Date.parse(text);',
    'Math.max(1, 2);',
    "import type { Socket } from 'node:net';",
    "import { createHash } from 'node:crypto';",
    "import type { Clock } from './clock.ts';",
    'f({ performance: 1 }); a.process; a.fetch();',
    'function f(process: string) { return process; }',
    'let date: Date;',
  ]) {
    test(`is allowed: ${text}`, () => {
      assert.deepEqual(impure(files(['audio/tone.ts', text]), HOUSE), []);
    });
  }
});

describe('the environment', () => {
  for (const text of [
    'process.env.A;',
    "process['env'];",
    'const { env } = process;',
    "import { env } from 'node:process';",
    "import process from 'node:process';",
    'globalThis.process.env;',
    'process.loadEnvFile();',
  ]) {
    test(`is found to be read: ${text}`, () => {
      assert.deepEqual(environmentReaders(files(['call/a.ts', text])), ['call/a.ts']);
    });
  }

  test('is not read by what only looks like it', () => {
    const text = 'process.exit(0); process.nextTick(f); // process.env\na.process.env;';
    assert.deepEqual(environmentReaders(files(['call/a.ts', text])), []);
  });
});

test('a room without a place is found, whatever its files are called', () => {
  assert.deepEqual(homeless(['utils/all.ts', 'other/a.mts', 'call/a.ts'], HOUSE), ['utils', 'other']);
});

test('a comment line of more than 100 columns is found, wherever it stands', () => {
  const long = 'x'.repeat(100);
  const read = files(
    ['call/a.ts', `/** ${long} */\nconst a = 1;\n/**\n * ${long}\n */`],
    ['call/b.ts', `  // ${long}\nconst b = 1; // ${long}\nconst c = a && // ${long}\n  b;`],
    ['call/c.ts', `const c = 'https://${long}';\n// short`],
    ['call/d.ts', `/*\n${long}x\n*/`],
  );
  assert.deepEqual(longComments(read), [
    'call/a.ts:1',
    'call/a.ts:4',
    'call/b.ts:1',
    'call/b.ts:2',
    'call/b.ts:3',
    'call/d.ts:2',
  ]);
});

test('a file with too many lines is found', () => {
  assert.deepEqual(tooLong(files(['call/a.ts', 'a;\nb;\n'], ['call/b.ts', 'a;\n']), 1), ['call/a.ts: 2']);
});

test('an export without a doc comment is found', () => {
  const text = `/** a */
export const A = ['b'] as const;
export type B = (typeof A)[number];
// c
export const c = 1;
/** */
export function d() {}
export interface E {}
`;
  assert.deepEqual(undocumented(files(['call/a.ts', text])), ['call/a.ts:5', 'call/a.ts:7', 'call/a.ts:8']);
});
