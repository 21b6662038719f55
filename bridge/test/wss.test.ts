// This file runs in a process of its own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type BotCertificate, FakeBot } from './fake-bot.ts';
import { Lab, speech, until } from './harness.ts';

let folder: string;
let here: BotCertificate;
let elsewhere: BotCertificate;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'wss-'));
  makeCertificate('ca', '/CN=Test authority');
  here = makeCertificate('here', '/CN=bot', '127.0.0.1');
  elsewhere = makeCertificate('elsewhere', '/CN=bot', '127.0.0.9');
});
after(() => rmSync(folder, { recursive: true }));

/** Signed by the authority where it is for an address; else it is the authority. */
function makeCertificate(name: string, subject: string, address?: string): BotCertificate {
  const path = (file: string) => join(folder, file);
  const signed = [
    '-CA',
    path('ca.pem'),
    '-CAkey',
    path('ca.key'),
    '-addext',
    `subjectAltName=IP:${address}`,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
  ];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '1',
      '-keyout',
      path(`${name}.key`),
      '-out',
      path(`${name}.pem`),
      '-subj',
      subject,
      ...(address === undefined ? [] : signed),
    ],
    { stdio: 'pipe' },
  );
  return {
    key: readFileSync(path(`${name}.key`), 'utf8'),
    cert: readFileSync(path(`${name}.pem`), 'utf8'),
  };
}

async function start(t: TestContext, bot: FakeBot, config: Record<string, string> = {}): Promise<Lab> {
  return await Lab.start(t, { bot, config: { BOT_CONNECT_TRIES: '1', ...config } });
}

test('a bot whose certificate a private authority has signed is reached by wss', async (t) => {
  const lab = await start(t, await FakeBot.start(here), { PIPECAT_CA_FILE: join(folder, 'ca.pem') });
  const { session } = await lab.call();
  assert.match(lab.bot.url, /^wss:/);
  session.speak(speech(1));
  session.close(1000);
  assert.equal((await lab.ended()).reason.kind, 'bot-closed');
});

test('without that authority it is not, whatever the environment says', async (t) => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  const lab = await start(t, await FakeBot.start(here));
  lab.ari.inbound();
  const { reason } = await lab.ended();
  assert.deepEqual([reason.kind, lab.bot.sessions.length], ['bot-unavailable', 0]);
  assert.match(reason.detail ?? '', /CERT|SIGNATURE|ISSUER/);
});

test('a certificate for another address is refused', async (t) => {
  const lab = await start(t, await FakeBot.start(elsewhere), { PIPECAT_CA_FILE: join(folder, 'ca.pem') });
  lab.ari.inbound();
  const { reason } = await lab.ended();
  assert.deepEqual([reason.kind, reason.detail], ['bot-unavailable', 'ERR_TLS_CERT_ALTNAME_INVALID']);
});

test('a provider may have an authority and a URL of its own, with the call’s values in it', async (t) => {
  const bot = await FakeBot.start(here);
  const providers = mkdtempSync(join(folder, 'providers-'));
  const { host } = new URL(bot.url);
  writeFileSync(
    join(providers, 'pb_fintech.env'),
    `TENANT=a b\nPIPECAT_CA_FILE=${join(folder, 'ca.pem')}\nPIPECAT_URL=wss://${host}/{tenant}/{to}?key=1\n`,
  );
  const lab = await start(t, bot, { PROVIDERS_DIR: providers, PIPECAT_URL: 'ws://127.0.0.1:9/' });
  lab.ari.inbound({ to: '+4930' });
  const session = await until(() => lab.bot.sessions[0], 'the bot is called');
  const url = new URL(session.request.url ?? '', bot.url);
  assert.equal(url.pathname, '/a%20b/%2B4930');
  assert.deepEqual([url.searchParams.get('key'), url.searchParams.get('to_number')], ['1', '+4930']);
  session.close(1000);
  await lab.ended();
});

test('a file that holds no certificate is a problem of the configuration', async (t) => {
  const wrong = join(folder, 'wrong.pem');
  for (const text of ['nonsense', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    writeFileSync(wrong, text);
    await assert.rejects(
      start(t, await FakeBot.start(), { PIPECAT_CA_FILE: wrong }),
      /PIPECAT_CA: must hold/,
    );
  }
});
