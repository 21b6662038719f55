import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type TransferTarget, transferTarget } from '../src/call/transfer-target.ts';
import { dialable, isAllowed, type NumberPlan, toE164 } from '../src/config/number-plan.ts';
import type { FuzzTarget } from './target.ts';

const digits = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), minLength, maxLength });
const prefix = fc.constantFrom('', '0', '8', '00', '810', '011', '1', '06');
const plan: fc.Arbitrary<NumberPlan> = fc.record({
  format: fc.constantFrom('e164plus', 'e164', 'national'),
  countryCode: fc.constantFrom(undefined, '1', '7', '39', '44', '49', '91', '353'),
  trunkPrefix: prefix,
  internationalPrefix: prefix,
  allowed: fc.array(fc.record({ prefix: digits(0, 5), allows: fc.boolean() }), { maxLength: 5 }),
});
const written = fc.oneof(
  digits(0, 17),
  digits(0, 17).map((text) => `+${text}`),
  fc
    .tuple(fc.constantFrom('+91', '+49', '+1', '+7', '00', '0', '011', '810'), prefix, digits(4, 10))
    .map((parts) => parts.join('')),
  fc.string({ unit: fc.constantFrom(...'+0123456789 ()-./*#;@x\u0000٣', '\uD800'), maxLength: 20 }),
);

/** A plan of a country, and numbers whose reading the provider could get wrong. */
const tricky = fc
  .record({
    countryCode: fc.constantFrom('1', '7', '39', '44', '49', '91', '353'),
    trunkPrefix: prefix,
    internationalPrefix: fc.constantFrom('00', '0', '011', '810'),
    rules: fc.array(fc.record({ zeros: fc.nat(2), prefix: digits(0, 3), allows: fc.boolean() }), {
      maxLength: 3,
    }),
    allowsAll: fc.boolean(),
    abroad: fc.constantFrom('', '1', '44', '39'),
    zeros: fc.nat(3),
    rest: digits(4, 10),
    form: fc.constantFrom('+', '00', ''),
  })
  .map(({ rules, allowsAll, abroad, zeros, rest, form, ...home }) => {
    const code = abroad === '' ? home.countryCode : abroad;
    const allowed = [
      { prefix: allowsAll ? '' : code, allows: true },
      ...rules.map(({ zeros, prefix, allows }) => ({ prefix: code + '0'.repeat(zeros) + prefix, allows })),
    ];
    return {
      numbers: { ...home, format: 'national' as const, allowed },
      text: form + (form === '' && abroad === '' ? home.trunkPrefix : code) + '0'.repeat(zeros) + rest,
    };
  });

/**
 * What the list of prefixes says of a number, written independently of the product's own code: the
 * longest matching prefix decides.
 */
function listAllows(e164: string, { allowed }: NumberPlan): boolean | undefined {
  let longest = -1;
  let says: boolean | undefined;
  for (const { prefix, allows } of allowed) {
    if (!e164.slice(1).startsWith(prefix) || prefix.length <= longest) continue;
    longest = prefix.length;
    says = allows;
  }
  return says;
}

/** How a switch reads what it is sent, written apart from the product's own reading. */
function readings(dialled: string, { format, ...p }: NumberPlan): string[] {
  if (format !== 'national') return [`+${dialled.replace(/^\+/, '')}`];
  const international = dialled.startsWith(p.internationalPrefix);
  const national = p.countryCode !== undefined && dialled.startsWith(p.trunkPrefix);
  const abroad = `+${dialled.slice(p.internationalPrefix.length)}`;
  const home = `+${p.countryCode}${dialled.slice(p.trunkPrefix.length)}`;
  if (international && national) {
    if (p.internationalPrefix.length > p.trunkPrefix.length) return [abroad];
    return p.trunkPrefix.length > p.internationalPrefix.length ? [home] : [home, abroad];
  }
  return [...(international ? [abroad] : []), ...(national ? [home] : [])];
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'numbers: what is dialled, read back, is the number that was allowed',
    property: fc.property(
      fc.oneof(fc.record({ numbers: plan, text: written }), tricky),
      ({ numbers, text }) => {
        const number = dialable(text, numbers);
        if (typeof number === 'string') return;
        assert.match(number.e164, /^\+[1-9]\d{5,14}$/);
        assert.match(number.dialled, /^\+?\d+$/);
        assert.ok(isAllowed(number.e164, numbers));
        assert.equal(listAllows(number.e164, numbers), true);
        // Many networks drop a zero after the country code: what is forbidden without it is
        // forbidden with it.
        for (const at of [1, 2, 3]) {
          const plain = `${number.e164.slice(0, at + 1)}${number.e164.slice(at + 1).replace(/^0+/, '')}`;
          if (number.e164[at + 1] === '0') assert.notEqual(listAllows(plain, numbers), false, plain);
        }
        assert.ok(readings(number.dialled, numbers).includes(number.e164), `${number.dialled}`);
      },
    ),
  },
  {
    name: 'numbers: E.164 means itself',
    property: fc.property(plan, digits(6, 14), (numbers, text) => {
      const number = `+1${text}`;
      assert.equal(toE164(number, numbers), number.length > 16 ? undefined : number);
    }),
  },
  {
    name: 'transfer targets: only an allowed number, or a place in a context of the list',
    property: fc.property(
      plan,
      fc.oneof(written, fc.string()),
      fc.oneof(fc.constantFrom('sales', 'evil'), fc.string()),
      fc.option(fc.oneof(fc.constantFrom('100', 's'), fc.string()), { nil: undefined }),
      fc.constantFrom('blind', 'dialplan', undefined),
      fc.oneof(written, fc.string()),
      (numbers, to, context, extension, mode, from) => {
        const provider = { name: 'trunk', numbers, callerId: undefined, transferMethod: 'auto' };
        const rules = { providers: new Map([['trunk', provider]]), contexts: ['sales'] };
        const request = { to, context, ...(extension === undefined ? {} : { extension }) };
        const target = transferTarget(
          { ...request, ...(mode === undefined ? {} : { mode }) } as never,
          { sipProvider: 'trunk', from } as never,
          rules as never,
        );
        if (typeof target === 'string') return;
        const found: TransferTarget = target;
        if (found.kind === 'dialplan') {
          assert.equal(found.context, 'sales');
          assert.match(found.extension, /^[\w+*#-]{1,80}$/);
        } else {
          assert.match(found.number, /^\+?\d{1,21}$/);
          const allowed = dialable(to, numbers);
          assert.equal(found.number, typeof allowed === 'string' ? allowed : allowed.dialled);
          assert.match(found.callerId, /^(\+?[\d*#]{1,32})?$/);
        }
      },
    ),
  },
];
