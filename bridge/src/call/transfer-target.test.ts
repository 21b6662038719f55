import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProvider } from '../config/providers.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { CallInfo } from './info.ts';
import { transferTarget } from './transfer-target.ts';

const RULES = {
  providers: new Map([
    ['home', parseProvider('home', 'COUNTRY_CODE=49\nNUMBER_FORMAT=national\nTRANSFER_METHOD=refer')],
    ['other', parseProvider('other', 'COUNTRY_CODE=49\nNUMBER_FORMAT=e164\nCALLER_ID=+4930100')],
    ['closed', parseProvider('closed', '')],
  ]),
  contexts: ['human'],
};

const target = (request: TransferRequest, from = '+4915112345') =>
  transferTarget(request, { sipProvider: 'home', from } as CallInfo, RULES);

test('a number is written as its provider wants it, and so is the number that is shown', () => {
  assert.deepEqual(target({ to: '+49 30 777777' }), {
    kind: 'number',
    provider: 'home',
    number: '030777777',
    method: 'refer',
    callerId: '015112345',
  });
  assert.deepEqual(target({ to: '+4930777777', provider: 'other' }), {
    // Only the caller's own network can be asked by REFER.
    kind: 'number',
    provider: 'other',
    number: '4930777777',
    method: 'bridge',
    callerId: '4930100',
  });
});

test('a caller without a number of the world is shown as they are, and one without a number not at all', () => {
  const shown = (from: string) => {
    const found = target({ to: '+4930777777' }, from);
    return typeof found === 'object' && found.kind === 'number' ? found.callerId : found;
  };
  assert.equal(shown('201'), '201');
  assert.equal(shown('anonymous'), '');
  assert.equal(shown('x@y,1)'), '');
});

test('without a list of prefixes a provider is asked for its own country only, and without a country for none', () => {
  assert.equal(target({ to: '+43123456' }), 'number-not-allowed');
  assert.equal(target({ to: '+4930777777', provider: 'closed' }), 'number-not-allowed');
});

test('mode dialplan takes the extension, else `to`', () => {
  const place = { mode: 'dialplan', context: 'human' } as const;
  assert.deepEqual(target({ ...place, to: 'a' }), { kind: 'dialplan', context: 'human', extension: 'a' });
  assert.deepEqual(target({ ...place, to: 'a', extension: 'b' }), {
    kind: 'dialplan',
    context: 'human',
    extension: 'b',
  });
  assert.equal(target({ ...place, to: 'a b' }), 'invalid-extension');
  assert.equal(target({ mode: 'dialplan', to: 'a' }), 'context-not-allowed');
});
