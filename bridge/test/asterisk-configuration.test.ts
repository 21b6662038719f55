/** What Asterisk's configuration may hold: see the head of asterisk/etc/extensions.conf and of modules.conf. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { dialplanFaults, readDialplan } from './dialplan.ts';

const folder = new URL('../../asterisk/etc/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const dialplan = read('extensions.conf');

/** What can run a program, read an argument twice, or let somebody in who was not asked. */
const NEVER_LOADED =
  /^(app_(exec|system|externalivr|dial|queue|originate|agi|mixmonitor|voicemail)|func_(shell|eval|env|curl|odbc|realtime|lock)|res_(agi|pjsip_transport_websocket|pjsip_endpoint_identifier_(user|anonymous)|config_.*)|pbx_(ael|lua|spool|realtime)|chan_(iax2|console|sip)|manager.*)\.so$/;

test('no outside data is in anything that Asterisk parses twice, or decides by', () => {
  const steps = readDialplan(dialplan);
  assert.ok(steps.length > 40, `${steps.length} steps`);
  assert.deepEqual(dialplanFaults(steps), []);
});

test('the reader of dialplans sees each kind of hole', () => {
  const file = readFileSync(new URL('dialplan-holes.conf', import.meta.url), 'utf8');
  const holes = file.split(/^(?=\[)/m).slice(1);
  assert.ok(holes.length > 15);
  for (const hole of holes) assert.equal(dialplanFaults(readDialplan(hole)).length, 1, hole);
});

test('no FILTER ends its characters with a hyphen: Asterisk would read on into the value', () => {
  assert.deepEqual(dialplan.match(/FILTER\([^,]*-,/g) ?? [], []);
});

test('every context says which channels may enter, and asks each who enters', () => {
  const contexts = dialplan.split(/^(?=\[)/m).filter((text) => /^\[(?!globals)/.test(text));
  assert.ok(contexts.length >= 3);
  for (const text of contexts) {
    const [name = ''] = text.split('\n');
    assert.match(text, /^\[[\w-]+\]\n; May enter: .*channels/, name);
    const entrances = text.match(/^exten => (?!h,|T,|s,1,Goto\()[^\n]*/gm) ?? [];
    for (const entrance of entrances) assert.match(entrance, /,1,GotoIf\(\$\["\$\{CHANNEL\(channeltype\)\}"/);
  }
});

test('every loaded module says why, is there once, and none is one of those that are never loaded', () => {
  const lines = read('modules.conf')
    .split('\n')
    .filter((line) => /^\s*(pre|no)?load|^\s*require/.test(line));
  const names = lines.map((line) => /^load = (\w+\.so) ; \S.{3,}/.exec(line)?.[1] ?? `no reason: ${line}`);
  assert.ok(names.length > 50, `${names.length} modules`);
  assert.deepEqual(
    names.filter((name) => name.startsWith('no reason') || NEVER_LOADED.test(name)),
    [],
  );
  assert.equal(new Set(names).size, names.length);
  assert.match(read('modules.conf'), /^autoload = no$/m);
});

test('every comment of a configuration file is text, and every file says what it is for', () => {
  for (const name of readdirSync(folder)) {
    if (name.startsWith('provider')) continue;
    assert.match(read(name), /^; \S/, name);
  }
});
