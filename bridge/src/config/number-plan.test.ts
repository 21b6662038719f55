import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  dialable,
  forProvider,
  homePrefixes,
  isAllowed,
  type NumberPlan,
  parsePrefixes,
  toE164,
} from './number-plan.ts';

const plan: NumberPlan = {
  format: 'e164plus',
  countryCode: '49',
  trunkPrefix: '0',
  internationalPrefix: '00',
  allowed: [],
};
const anywhere: NumberPlan = { ...plan, countryCode: undefined };

describe('numbers', () => {
  for (const [written, meant] of [
    ['+493012345', '+493012345'],
    ['+49 (30) 123-45', '+493012345'],
    ['00493012345', '+493012345'],
    ['030 123 45', '+493012345'],
    ['+1 202.555.0199', '+12025550199'],
  ] as const) {
    test(`${written} is ${meant}`, () => assert.equal(toE164(written, plan), meant));
  }

  for (const written of [
    '',
    '+',
    '12345',
    '4930123456',
    '+0491234567',
    '+49 (0)30 12345',
    '+49301',
    'bot',
    '+4930x12345',
    '+49301234567890123',
    '+493012345;x=y',
    '+493012345@evil',
    '+49３０12345',
  ]) {
    test(`"${written}" is no number`, () => assert.equal(toE164(written, plan), undefined));
  }

  test('a national number means nothing where the country is not known', () => {
    assert.equal(toE164('03012345', anywhere), undefined);
    assert.equal(toE164('+493012345', anywhere), '+493012345');
  });

  test('a country without a trunk prefix takes its numbers as they are', () => {
    assert.equal(toE164('2025550199', { ...plan, countryCode: '1', trunkPrefix: '' }), '+12025550199');
  });

  for (const [format, home, abroad] of [
    ['e164plus', '+493012345', '+4312345678'],
    ['e164', '493012345', '4312345678'],
    ['national', '03012345', '004312345678'],
  ] as const) {
    test(`${format} is how the provider gets them`, () => {
      assert.equal(forProvider('+493012345', { ...plan, format }), home);
      assert.equal(forProvider('+4312345678', { ...plan, format }), abroad);
    });
  }

  test('without a list the own country may be called, and without a country nothing', () => {
    const home = { ...plan, allowed: homePrefixes('49') };
    assert.equal(isAllowed('+493012345', home), true);
    assert.equal(isAllowed('+4312345678', home), false);
    assert.equal(isAllowed('+493012345', { ...plan, allowed: homePrefixes(undefined) }), false);
  });

  test('the longest prefix decides, whatever the order of the list', () => {
    const rules = { ...plan, allowed: parsePrefixes('!+49900, +49,43,+49900123') };
    assert.equal(isAllowed('+493012345', rules), true);
    assert.equal(isAllowed('+499005555', rules), false);
    assert.equal(isAllowed('+499001234', rules), true);
    assert.equal(isAllowed('+4312345678', rules), true);
    assert.equal(isAllowed('+12025550199', rules), false);
  });

  test('a star allows all but what is forbidden', () => {
    const rules = { ...plan, allowed: parsePrefixes('*,!+882') };
    assert.equal(isAllowed('+12025550199', rules), true);
    assert.equal(isAllowed('+8821234567', rules), false);
  });

  for (const [countryCode, trunkPrefix, internationalPrefix, number, wouldBe] of [
    ['91', '0', '00', '+91019005550000', '+19005550000'],
    ['49', '0', '00', '+49088212345678', '+88212345678'],
    ['7', '8', '810', '+7104412345678', '+4412345678'],
    ['1', '', '011', '+10114412345678', '+4412345678'],
    ['44', '', '', '+33123456789', '+4433123456789'],
  ] as const) {
    test(`national: ${number} is not dialled, the provider would read ${wouldBe}`, () => {
      const allowed = parsePrefixes(`+${countryCode},+33`);
      const strict: NumberPlan = {
        format: 'national',
        countryCode,
        trunkPrefix,
        internationalPrefix,
        allowed,
      };
      assert.equal(dialable(number, strict), 'invalid-number');
      const asIs = { ...strict, format: 'e164plus' } as const;
      assert.deepEqual(dialable(number, asIs), { e164: number, dialled: number });
    });
  }

  test('what is forbidden is forbidden with a trunk zero behind the country code too', () => {
    const rules = { ...plan, allowed: parsePrefixes('*,!+49900,!+43900,!+1900') };
    for (const number of ['+490900123456', '+430900123456', '+10900123456', '+4900900123456']) {
      assert.equal(dialable(number, rules), 'number-not-allowed', number);
    }
    // A zero that belongs to the number, as in Rome.
    assert.equal(isAllowed('+390612345678', rules), true);
  });

  test('the international prefix of the provider is understood too', () => {
    const us = { ...plan, countryCode: '1', trunkPrefix: '', internationalPrefix: '011' };
    assert.equal(toE164('011 49 30 12345', us), '+493012345');
  });

  test('a list that cannot be read says what is wrong', () => {
    assert.throws(() => parsePrefixes('+49,x'), /"x" is no prefix/);
    assert.throws(() => parsePrefixes('+49,'), /"" is no prefix/);
  });
});
