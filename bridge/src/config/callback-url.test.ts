import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callbackTarget, isUnfit, parseHostRules } from './callback-url.ts';

const problem = (text: string, hosts: readonly string[] = []) => {
  const target = callbackTarget(text, hosts);
  return 'problem' in target ? target.problem : undefined;
};

test('user and password of a URL become a header, and leave the URL', () => {
  assert.deepEqual(callbackTarget('https://us%40er:p%3Aw@h.example/a?b=c#d', []), {
    url: 'https://h.example/a?b=c',
    authorization: `Basic ${btoa('us@er:p:w')}`,
  });
  assert.deepEqual(callbackTarget('http://user@h/', []), {
    url: 'http://h/',
    authorization: `Basic ${btoa('user:')}`,
  });
  assert.match(problem('http://a%ff:b@h/') ?? '', /URL-encoded/);
  assert.match(problem('http://a%0d%0a:b@h/') ?? '', /URL-encoded/);
});

test('what is no plain web address is refused', () => {
  for (const text of [
    '',
    'file:///etc/passwd',
    'ftp://h/',
    'http:h',
    'http://',
    '//h/',
    'http://h\n/',
    'http:/\\h',
  ])
    assert.match(problem(text) ?? '', /http/, text);
  assert.match(problem(`http://h/${'x'.repeat(2_100)}`) ?? '', /2048/);
});

test('by default callbacks go everywhere but to link-local and such addresses, however they are written', () => {
  for (const host of [
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '169.254.43518',
    '0.0.0.0',
    '0',
    '[::]',
    '[fe80::1]',
    '[::ffff:169.254.169.254]',
    '[::ffff:0:1]',
    '224.0.0.1',
    '[ff02::1]',
    '[fd00:ec2::254]',
    '[fd20:ce::254]',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    // IPv4 within IPv6: by NAT64 (RFC 6052), 6to4 (RFC 3056), and in the deprecated form (RFC 4291
    // section 2.5.5.1).
    '[64:ff9b::169.254.169.254]',
    '[64:ff9b::a9fe:a9fe]',
    '[2002:a9fe:a9fe::1]',
    '[::169.254.169.254]',
    '[::ffff:100.100.100.200]',
  ])
    assert.match(problem(`http://${host}/latest/meta-data`) ?? '', /address/, host);
  for (const host of ['127.0.0.1:5000', '10.1.2.3', 'backend', 'h.example', '[::1]', '8.8.8.8'])
    assert.equal(problem(`http://${host}/`), undefined, host);
});

test('where the operator names hosts, all others are refused', () => {
  const hosts = parseHostRules('Backend, *.example.com, 10.0.0.7:5000, [::1], h.example:443') ?? [];
  for (const text of [
    'http://backend:9/',
    'https://a.example.com/',
    'https://a.b.EXAMPLE.com/',
    'http://10.0.0.7:5000/',
    'http://[::1]/',
    'https://h.example/',
    'http://u:p@backend/',
  ])
    assert.equal(problem(text, hosts), undefined, text);
  for (const text of [
    'http://backend.evil/',
    'http://example.com/',
    'http://notexample.com/',
    'http://10.0.0.7/',
    'http://backend@evil/',
    'http://127.0.0.1/',
    'http://h.example/',
  ])
    assert.match(problem(text, hosts) ?? '', /CALLBACK_HOSTS/, text);
  for (const list of ['http://h', 'a b', '*', '*.', 'h/', 'a,,b', ''])
    assert.equal(parseHostRules(list), undefined, list);
});

test('an address that a name resolves to is judged as well', () => {
  for (const address of [
    '169.254.1.1',
    'fe80::1',
    '::',
    '0.0.0.0',
    '::ffff:169.254.1.1',
    'FE80::1%eth0',
    '64:ff9b::169.254.1.1',
    '64:ff9b::a9fe:101',
    '2002:a9fe:101::1',
    '100.100.100.200',
    '::ffff:168.63.129.16',
  ])
    assert.equal(isUnfit(address), true, address);
  for (const address of [
    '127.0.0.1',
    '::1',
    '192.168.1.1',
    'fd12::1',
    '2001:db8::1',
    '64:ff9b::192.0.2.1',
    '2002:c000:201::1',
    '100.100.100.201',
    '192.0.0.9',
    '2001:0:a9fe:a9fe::1',
  ])
    assert.equal(isUnfit(address), false, address);
});
