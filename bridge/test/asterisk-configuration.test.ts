// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Asterisk's
/**
 * What Asterisk's configuration may hold: see the head of asterisk/etc/extensions.conf and of
 * modules.conf.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { bypassFaults, dialplanFaults, entranceFaults, readDialplan } from './dialplan.ts';

const folder = new URL('../../asterisk/etc/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const text = read('extensions.conf');
const dialplan = readDialplan(text);

/** Modules that can run a program, read an argument twice, listen in, or admit uninvited calls. */
const NEVER_LOADED = new RegExp(
  `^(${[
    'app_(exec|system|externalivr|dial|queue|originate|agi|mixmonitor|voicemail|minivm|disa|chanspy|page)',
    'app_(followme|directory|record|dictate|read|readexten|stack|macro|mp3|ices|nbscat|festival|sms|db)',
    'func_(shell|eval|env|curl|odbc|realtime|lock|db|global|pjsip_endpoint|presencestate)',
    'res_(agi|http_post|phoneprov|xmpp|snmp|monitor|config_.*|odbc.*|realtime|rtp_forward)',
    'res_pjsip_(transport_websocket|endpoint_identifier_(user|anonymous)|messaging|registrar|config_wizard)',
    'res_pjsip_(publish_.*|outbound_publish|exten_state|mwi.*|notify|one_touch_.*|phoneprov_.*|history)',
    'pbx_(ael|lua|spool|realtime|dundi|loopback)|chan_(iax2|console|sip|skinny|unistim|mgcp|dahdi)|manager.*',
  ].join('|')})\\.so$`,
);

test('no outside data is in anything that Asterisk parses twice, or decides by', () => {
  assert.ok(dialplan.steps.length > 40, `${dialplan.steps.length} steps`);
  assert.deepEqual(dialplanFaults(dialplan), []);
});

test('the reader of dialplans sees each kind of hole', () => {
  const file = readFileSync(new URL('dialplan-holes.conf', import.meta.url), 'utf8');
  const holes = file.split(/^(?=\[)/m).slice(1);
  assert.ok(holes.length > 40);
  for (const hole of holes) assert.equal(dialplanFaults(readDialplan(hole)).length, 1, hole);
});

test('no FILTER ends its characters with a hyphen: Asterisk would read on into the value', () => {
  assert.deepEqual(text.match(/FILTER\([^,]*-,/g) ?? [], []);
});

test('every context says which channels may enter, and asks each who enters', () => {
  assert.ok(dialplan.contexts.size >= 5);
  assert.deepEqual(entranceFaults(dialplan), []);
});

const QUESTION = '1,GotoIf($["${CHANNEL(channeltype)}" != "PJSIP"]?stranger)';
const MAY_ENTER = '; May enter: PJSIP channels.';
const GUARDED = `[other]\n${MAY_ENTER}\nexten => s,${QUESTION}\n same => n(stranger),Hangup(21)\n`;
/** Contexts that one could come in by. */
const ENTRANCES: Record<string, string> = {
  'no question': `${MAY_ENTER}\nexten => s,1,Stasis(app)`,
  'the question comes second': `${MAY_ENTER}\nexten => s,1,Progress()\n same => n,${QUESTION.slice(2)}\n same => n(stranger),Hangup(21)`,
  'the question begins later': `${MAY_ENTER}\nexten => s,2,${QUESTION.slice(2)}\n same => n(stranger),Hangup(21)`,
  'another question': `${MAY_ENTER}\nexten => s,${QUESTION.replace('PJSIP', 'Local')}\n same => n(stranger),Hangup(21)`,
  'the question turned round': `${MAY_ENTER}\nexten => s,${QUESTION.replace('!=', '=')}\n same => n(stranger),Hangup(21)`,
  'strangers go on': `${MAY_ENTER}\nexten => s,${QUESTION}\n same => n(stranger),Stasis(app)`,
  'strangers go nowhere': `${MAY_ENTER}\nexten => s,${QUESTION}`,
  'a second extension asks nobody': `${MAY_ENTER}\nexten => s,${QUESTION}\n same => n(stranger),Hangup(21)\nexten => 5,1,Stasis(app)`,
  'a hang-up that does more': `${MAY_ENTER}\nexten => h,1,Stasis(app)`,
  'nothing said': `exten => s,${QUESTION}\n same => n(stranger),Hangup(21)`,
  'all may enter': `; May enter: all channels\nexten => s,${QUESTION}\n same => n(stranger),Hangup(21)`,
  'nobody may enter, and somebody can': `; May enter: no channels.\nexten => s,${QUESTION}\n same => n(stranger),Hangup(21)`,
  'a way to a context that is not there': `${MAY_ENTER}\nexten => s,1,Goto(public,s,1)`,
  'a jump behind the question': `${MAY_ENTER}\nexten => s,${QUESTION}\n same => n,Goto(other,s,later)\n same => n(stranger),Hangup(21)`,
  'a jump behind it, if': `${MAY_ENTER}\nexten => s,${QUESTION}\n same => n,GotoIf($[1]?other,s,2)\n same => n(stranger),Hangup(21)`,
};
for (const [name, lines] of Object.entries(ENTRANCES)) {
  test(`an entrance is seen: ${name}`, () => {
    assert.deepEqual(entranceFaults(readDialplan(GUARDED)), []);
    assert.equal(entranceFaults(readDialplan(`${GUARDED}[hole]\n${lines}\n`)).length, 1);
  });
}

const ENDPOINTS = /^context = (\S+)$/m.exec(read('pjsip.conf'))?.[1] ?? '';

test('whatever extension an INVITE names, it passes the same checks in the same order', () => {
  assert.deepEqual(bypassFaults(dialplan, ENDPOINTS), []);
});

/** Changes of the endpoints' context that let a caller go past a check. */
const BYPASSES: Record<string, [RegExp, string]> = {
  'an extension s': [/^exten => h/m, 'exten => s,1,Goto(unserved,s,1)\nexten => h'],
  'an extension T': [/^exten => h/m, 'exten => T,1,Goto(unserved,s,1)\nexten => h'],
  'an h that goes on': [/^exten => h,1,Hangup\(\)/m, 'exten => h,1,Goto(unserved,s,1)'],
  'an exit first': [/^ same/m, ' same => n,GotoIf($[${closed}]?unserved,closed,1)\n same'],
  'the app first': [/^ same/m, ' same => n,Stasis(${ARI_APP})\n same'],
  'a way back for all': [/^ same/m, ' same => n,Goto(back)\n same'],
  'a wide question': [/!= "Ring" \|/, '!= "Down" |'],
  'no count': [/^.*GROUP\(provider\)=\$.*$/m, ''],
  'no limit': [/^.*\?full\).*$/m, ''],
  'no check of the number': [/^.*EXTEN.*unreadable.*$/m, ''],
  'no check of the Call-ID': [/^.*call-id.*unreadable.*$/m, ''],
  'no filter of the caller': [/^.*Set\(CALLERID\(num\).*$/m, ''],
};
for (const [name, [place, change]] of Object.entries(BYPASSES)) {
  test(`a way past the checks is seen: ${name}`, () => {
    assert.notEqual(bypassFaults(readDialplan(text.replace(place, () => change)), ENDPOINTS).length, 0);
  });
}

test('every loaded module says why, is there once, and none is one of those that are never loaded', () => {
  // Any other line could load one: Asterisk takes `LOAD=`, `preload`, `require`, files to include.
  const lines = read('modules.conf')
    .split('\n')
    .filter((line) => line !== '' && !/^;(?!-)/.test(line));
  assert.deepEqual(lines.splice(0, 2), ['[modules]', 'autoload = no']);
  const names = lines.map((line) => /^load = (\w+\.so) ; \S.{3,}/.exec(line)?.[1] ?? `no reason: ${line}`);
  assert.ok(names.length > 50, `${names.length} modules`);
  assert.deepEqual(
    names.filter((name) => name.startsWith('no reason') || NEVER_LOADED.test(name)),
    [],
  );
  assert.equal(new Set(names).size, names.length);
});

test('every comment of a configuration file is text, and every file says what it is for', () => {
  for (const name of readdirSync(folder)) {
    if (name.startsWith('provider')) continue;
    assert.match(read(name), /^; \S/, name);
  }
});
