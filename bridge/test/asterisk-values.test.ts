// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Asterisk's
/** Which values of settings asterisk/checks.sh accepts for Asterisk's configuration files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../../asterisk/', import.meta.url);

/**
 * One value of each type that checks.sh knows. A secret may have any printable character: it is the
 * rest of the line after `password =`.
 */
const VALUES: Readonly<Record<string, string>> = {
  name: 'acme',
  address: '192.0.2.1',
  optional_address: '192.0.2.1',
  port: '5060',
  networks: '192.0.2.0/24',
  host: 'sip.example:5060',
  hostname: 'sip.example',
  user: '+4930',
  proxy: 'sip:sip.example',
  fallback: 'humans,100',
  verbosity: '3',
  count: '20',
  turn_away: '503',
  auth: 'ip',
  transport: 'udp',
  codecs: 'ulaw,alaw',
  dtmf: 'rfc4733',
  yesno: 'yes',
  nat: 'contact',
  modules: 'app_dial,func_base64',
  secret: 'A;b$[c]{d}"e',
  password: 'A;b$[c]{d}"e',
};
/**
 * What a parser of Asterisk would not take as plain text. A line break would begin a new setting.
 */
const MEANINGS = [
  '\n',
  '\r',
  ';',
  '$',
  '${EXTEN}',
  '[x]',
  '(',
  ')',
  ' ',
  '\t',
  '"',
  "'",
  '\\',
  '`',
  '&',
  '|',
  '\x01',
];

/** Which of the values checks.sh takes for a kind. */
function taken(kind: string, values: readonly string[]): string[] {
  const script =
    'source "$1/checks.sh"; kind=$2; shift 2; for v; do "is_$kind" "$v" && printf "%s\\0" "$v" || :; done';
  const given = ['-c', script, 'check', folder.pathname, kind, ...values];
  return execFileSync('bash', given, { encoding: 'utf8' }).split('\0').slice(0, -1);
}

const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');

test('every value that the templates take in has a kind', () => {
  const kinds = [...read('checks.sh').matchAll(/^ {2}\[(\w+)\]=/gm)].map(([, kind]) => kind);
  assert.deepEqual(kinds.toSorted(), Object.keys(VALUES).toSorted());
  const keys = [...read('provider-keys').matchAll(/^(\w+) asterisk (\w+)$/gm)];
  assert.ok(keys.length >= 20);
  const any = keys.filter(([, , kind = '']) => VALUES[kind] === undefined).map(([, key]) => key);
  // Neither is written into a configuration file: Asterisk opens one and looks up the other, and
  // checks its form then.
  assert.deepEqual(any.toSorted(), ['PASSWORD_FILE', 'PASSWORD_VARIABLE']);
  const settings = [...read('entrypoint').matchAll(/^ {2}(?:setting (\w+) \S+|required (\w+)) (\w+)$/gm)];
  assert.ok(settings.length >= 11);
  for (const [line, , , kind = ''] of settings) assert.ok(VALUES[kind] !== undefined, line);
});

for (const [kind, value] of Object.entries(VALUES)) {
  test(`no value that means anything to Asterisk's parsers is taken for: ${kind}`, () => {
    assert.deepEqual(taken(kind, [value]), [value]);
    const meanings = ['secret', 'password'].includes(kind) ? ['\n', '\r', ' ', '\t', '\x01'] : MEANINGS;
    const bad = meanings.flatMap((mark) => [
      value + mark,
      mark + value,
      value + mark + value,
      value[0] + mark + value.slice(1),
    ]);
    assert.deepEqual(taken(kind, bad), []);
  });
}

test('modules for the operator’s dialplan: none that runs programs or reads its argument twice', () => {
  const bad = [
    'app_exec',
    'app_system',
    'app_externalivr',
    'app_originate',
    'func_shell',
    'func_eval',
    'func_env',
  ];
  assert.deepEqual(
    taken(
      'modules',
      bad.flatMap((name) => [name, `app_dial,${name}`]),
    ),
    [],
  );
  assert.deepEqual(
    taken('modules', ['res_agi', 'pbx_lua', '../x', 'app_dial.so', 'app_dial,,app_queue']),
    [],
  );
});
