import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { API_TOKEN, api } from './api-client.ts';
import { ORDER, PROVIDER, startLab } from './api-lab.ts';
import { Lab, until } from './harness.ts';

describe('the API', () => {
  test('wants its token; health and metrics want none', async (t) => {
    const lab = await startLab(t);
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: `Basic ${API_TOKEN}` }]) {
      const answer = await api(lab, 'GET', '/calls', undefined, headers as Record<string, string>);
      assert.equal(answer.status, 401);
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
      assert.equal(answer.headers.get('content-type')?.split(';')[0], 'application/problem+json');
    }
    for (const path of ['/livez', '/readyz', '/metrics']) assert.equal((await lab.get(path)).status, 200);
    assert.doesNotMatch(JSON.stringify(lab.logs), new RegExp(API_TOKEN));
  });

  test('without a token set, it says that it is off', async (t) => {
    const lab = await Lab.start(t);
    const { status, body } = await api(lab, 'GET', '/calls');
    assert.equal(status, 503);
    assert.match(body.detail, /API_TOKEN is not set/);
  });

  test('describes itself in an OpenAPI document that is valid, and complete', async (t) => {
    const lab = await startLab(t);
    const { body } = await api(lab, 'GET', '/openapi.json');
    const result = await new Validator().validate(body);
    assert.equal(result.valid, true, JSON.stringify(result.errors));
    assert.deepEqual(Object.keys(body.paths).sort(), [
      '/calls',
      '/calls/{id}',
      '/calls/{id}/dtmf',
      '/calls/{id}/recording',
      '/calls/{id}/transfer',
      '/events',
    ]);
    assert.ok(body.components.schemas.Call.properties.callId);
    assert.equal(body.components.schemas.CallOrderInput?.properties.to.type ?? 'string', 'string');
  });

  test('answers what it cannot read with problems', async (t) => {
    const lab = await startLab(t);
    const cases: [string, string, unknown, number][] = [
      ['POST', '/calls', '{"to":', 400],
      ['POST', '/calls', JSON.stringify({ to: 'x'.repeat(70_000) }), 413],
      ['GET', '/calls/unknown', undefined, 404],
      ['DELETE', '/calls/unknown', undefined, 404],
      ['GET', '/calls?limit=0', undefined, 422],
      ['GET', '/calls?since=yesterday', undefined, 422],
      ['GET', '/calls?cursor=unknown', undefined, 422],
      ['GET', `/calls?cursor=${btoa('2026-11-22T10:00:00.000Z 1;')}`, undefined, 422],
    ];
    for (const [method, path, body, expected] of cases) {
      const { status, headers } = await api(lab, method, path, body);
      assert.equal(status, expected, `${method} ${path}`);
      assert.equal(headers.get('content-type')?.split(';')[0], 'application/problem+json', path);
    }
  });

  test('finds a call whose id came from elsewhere, with any printable character', async (t) => {
    const lab = await startLab(t);
    for (const id of ['a/b#1', 'a b', '50% off?', `ü${'x'.repeat(127)}`, '😀'.repeat(64)]) {
      const channel = lab.ari.originate({ variables: { X_CALL_ID: id } });
      const path = `/calls/${encodeURIComponent(id)}`;
      await until(async () => (await api(lab, 'GET', path)).status === 200, `found: ${id}`, 2_000);
      assert.equal((await api(lab, 'GET', path)).body.callId, id);
      assert.equal((await api(lab, 'DELETE', path)).status, 202);
      lab.ari.dialFails(channel, 'CANCEL', 0);
    }
    assert.equal((await api(lab, 'GET', `/calls/${'x'.repeat(129)}`)).status, 422);
  });

  test('refuses text that no URL, log or terminal can carry, by field', async (t) => {
    const lab = await startLab(t);
    for (const [order, field] of [
      [{ variables: { note: 'a\ud800' } }, 'variables.note'],
      [{ tenant: '\udc00' }, 'tenant'],
      [{ tenant: 'a\u0007' }, 'tenant'],
      [{ callId: '..' }, 'callId'],
      [{ provider: 'a\nb' }, 'provider'],
    ] as const) {
      const { status, body } = await api(lab, 'POST', '/calls', { ...ORDER, ...order });
      assert.deepEqual([status, body.errors?.[0].field], [422, field], JSON.stringify(order));
    }
  });

  test('answers requests up to its rate per second, counting the unauthorized ones', async (t) => {
    const lab = await startLab(t, PROVIDER, { config: { API_REQUESTS_PER_SECOND: '5' } });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => api(lab, 'GET', '/calls', undefined, {})),
    );
    const limited = answers.filter(({ status }) => status === 429);
    assert.ok(limited.length > 0 && limited.length <= 15, `${limited.length} of 20`);
    assert.notEqual(limited[0]?.headers.get('retry-after'), null);
    assert.equal(limited[0]?.body.status, 429);
    assert.equal((await lab.get('/livez')).status, 200);
  });
});
