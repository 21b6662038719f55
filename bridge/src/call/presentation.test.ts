import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presentationOf } from './presentation.ts';

test('a number is withheld by its network, by the Privacy header, or by an anonymous From', () => {
  for (const [variable, number, expected] of [
    ['allowed_not_screened ', '+4930', 'allowed'],
    ['allowed_passed_screen none', '+4930', 'allowed'],
    ['allowed_not_screened critical', '+4930', 'allowed'],
    ['prohib_not_screened ', '+4930', 'restricted'],
    ['allowed_not_screened id', '+4930', 'restricted'],
    ['allowed_not_screened user;id', '+4930', 'restricted'],
    ['allowed_not_screened Header', '+4930', 'restricted'],
    ['allowed_not_screened ', 'Anonymous', 'restricted'],
    ['unavailable ', '+4930', 'unavailable'],
    ['allowed_not_screened ', '', 'unavailable'],
    ['', '+4930', undefined],
    [undefined, '+4930', undefined],
  ] as const)
    assert.equal(presentationOf(variable, number), expected, `${variable}, ${number}`);
});

test('every Privacy header and Remote-Party-ID counts; what could not be read asks for privacy', () => {
  for (const [variable, expected] of [
    ['allowed_not_screened   0   0', 'allowed'],
    ['allowed_not_screened none  1   0', 'allowed'],
    ['allowed_not_screened none id 2   0', 'restricted'],
    ['allowed_not_screened critical user 2   0', 'restricted'],
    ['allowed_not_screened none none 3   0', 'restricted'],
    ['allowed_not_screened   1   0', 'restricted'],
    [`allowed_not_screened ${'critical;'.repeat(200)}  1   0`, 'restricted'],
    ['allowed_not_screened   0 sip;party=calling;privacy=full  1', 'restricted'],
    ['allowed_not_screened   0 sip;privacy=full;party=calling;screen=yes  1', 'restricted'],
    ['allowed_not_screened   0 Sip;Privacy=Uri  1', 'restricted'],
    ['allowed_not_screened   0 sip;party=calling;privacy=fullnetwork  1', 'restricted'],
    ['allowed_not_screened   0 sip;party=called;privacy=off sip;party=calling;privacy=full 2', 'restricted'],
    ['allowed_not_screened   0 sip;party=called;privacy=off,sip;party=calling;privacy=full  1', 'restricted'],
    ['allowed_not_screened   0   1', 'restricted'],
    ['allowed_not_screened   0 sip;party=called;privacy=full  1', 'allowed'],
    ['allowed_not_screened   0 sip;party=calling;privacy=off sip;party=called;privacy=full 2', 'allowed'],
    ['allowed_not_screened   0 sip;party=calling;privacy=name  1', 'allowed'],
  ] as const)
    assert.equal(presentationOf(variable, '+4930'), expected, variable);
});
