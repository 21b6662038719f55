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
