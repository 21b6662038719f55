// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Asterisk's or our templates'
/**
 * The permitted values of each setting in Asterisk's files, except its dialplan and modules. A
 * setting that is not listed here fails the test. Who adds a setting adds it here, and first finds
 * out whom it lets in, what it makes Asterisk read, and what it tells strangers.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../../asterisk/etc/', import.meta.url);
/** Files with a test of their own, and the tones. */
const OTHERS = ['extensions.conf', 'modules.conf', 'indications.conf'];
const INCLUDES = ['#include /run/asterisk/etc/providers/*.conf'];

/**
 * Settings of a section: the value that each must have, or a pattern. Required settings begin with
 * `!`.
 */
type Section = Readonly<Record<string, string | RegExp>>;

/** A number, a name or a list of such: no more than it says. */
const PLAIN = /^[\w.,:/+-]+$/;
const put = (...names: string[]) => new RegExp(`^(${names.map((name) => `\\$\\{${name}\\}`).join('|')})$`);
const NETWORK = {
  external_signaling_address: put('EXTERNAL_ADDRESS'),
  external_media_address: put('EXTERNAL_ADDRESS'),
  local_net: put('LOCAL_NETS'),
};
const transport = (protocol: string): Section => ({
  ...NETWORK,
  '!type': 'transport',
  '!protocol': protocol,
  '!bind': '${SIP_ADDRESS}:${SIP_PORT}',
});

const KNOWN: Readonly<Record<string, Readonly<Record<string, Section>>>> = {
  'ari.conf': {
    // No origin of a browser is allowed: `allowed_origins` is not here.
    '[general]': { '!enabled': 'yes', pretty: 'no', websocket_write_timeout: PLAIN, channelvars: PLAIN },
    '[${ARI_USERNAME}]': {
      '!type': 'user',
      read_only: 'no',
      password_format: 'plain',
      '!password': put('ARI_PASSWORD'),
    },
  },
  'asterisk.conf': {
    '[directories]': {
      astetcdir: PLAIN,
      astrundir: PLAIN,
      astdbdir: PLAIN,
      astspooldir: PLAIN,
      astlogdir: PLAIN,
      astcachedir: PLAIN,
      astvarlibdir: PLAIN,
      astkeydir: PLAIN,
      astdatadir: PLAIN,
    },
    // No `execincludes`, which runs programs, and no section `[compat]`, which makes Set an MSet.
    '[options]': {
      verbose: put('ASTERISK_VERBOSE'),
      nocolor: 'yes',
      hideconnect: 'yes',
      '!live_dangerously': 'no',
      defaultlanguage: PLAIN,
      documentation_language: PLAIN,
    },
  },
  'cdr.conf': { '[general]': { '!enable': 'no' } },
  'cel.conf': { '[general]': { '!enable': 'no' } },
  'manager.conf': { '[general]': { '!enabled': 'no', '!webenabled': 'no' } },
  'http.conf': {
    '[general]': {
      '!enabled': 'yes',
      servername: 'sip',
      '!bindaddr': put('ARI_ADDRESS'),
      bindport: put('ARI_PORT'),
      '!enable_static': 'no',
      '!enable_status': 'no',
      sessionlimit: PLAIN,
      session_keep_alive: PLAIN,
      session_inactivity: PLAIN,
    },
  },
  'logger.conf': {
    '[general]': { '!dateformat': '%F %T.%3q ${LOG_MARK}', queue_log: 'no' },
    // Notices say numbers; SECURITY lines are what fail2ban reads.
    '[logfiles]': { '!console': 'warning,error,verbose,security' },
  },
  'rtp.conf': {
    '[general]': {
      rtpstart: put('ASTERISK_RTP_PORT_MIN'),
      rtpend: put('ASTERISK_RTP_PORT_MAX'),
      '!strictrtp': 'yes',
      '!probation': put('RTP_PROBATION'),
      '!icesupport': 'no',
    },
  },
  'pjsip.conf': {
    '[global]': {
      '!type': 'global',
      '!user_agent': 'sip',
      '!default_realm': 'sip',
      ignore_uri_user_options: 'yes',
      '!endpoint_identifier_order': 'ip',
      '!default_outbound_endpoint': 'nobody',
      unidentified_request_count: '1',
      unidentified_request_period: PLAIN,
    },
    '[udp]': transport('udp'),
    '[tcp]': transport('tcp'),
    '[_provider](!)': {
      '!type': 'endpoint',
      '!context': 'from-provider',
      '!identify_by': 'ip',
      '!disallow': 'all',
      '!direct_media': 'no',
      sdp_session: 'call',
      '!ice_support': 'no',
      force_rport: 'yes',
      rtp_timeout: PLAIN,
      rtp_timeout_hold: PLAIN,
      timers: 'yes',
      trust_id_inbound: 'yes',
      send_pai: 'yes',
      send_connected_line: 'no',
      '!allow_transfer': 'no',
      '!allow_subscribe': 'no',
      '!set_var': 'FORWARD_CONTEXT=nowhere',
    },
  },
  'provider.conf': {
    '[${NAME}](_provider)': {
      transport: put('TRANSPORT'),
      aors: put('AOR'),
      allow: put('CODECS'),
      dtmf_mode: put('DTMF'),
      '!rtp_symmetric': put('SYMMETRIC'),
      rewrite_contact: put('REWRITES'),
      user_eq_phone: put('PHONE'),
      '!deny': put('DENY'),
      '!permit': put('PERMIT'),
      from_user: put('FROM_USER'),
      from_domain: put('FROM_DOMAIN'),
      contact_user: put('CONTACT_USER'),
      outbound_auth: put('ACCOUNT'),
      outbound_proxy: put('OUTBOUND_PROXY'),
      '!set_var':
        /^(PROVIDER_(MAX_CALLS|SHARES|TRUST_HEADERS|REGISTERS)=)?\$\{(MAX_CALLS|SHARES|TRUSTS|REGISTERS|SET_\w+)\}$/,
    },
  },
  'provider-auth.conf': {
    '[${NAME}]': {
      '!type': 'auth',
      '!auth_type': 'digest',
      username: put('USERNAME'),
      password: put('PASSWORD'),
    },
  },
  'provider-identify.conf': {
    '[${NAME}]': { '!type': 'identify', '!endpoint': put('NAME'), '!match': put('SOURCES') },
  },
  // Nobody registers here: `max_contacts` is not here.
  'provider-target.conf': {
    '[${NAME}]': {
      '!type': 'aor',
      '!contact': put('TARGET'),
      qualify_frequency: put('QUALIFY_SECONDS'),
      outbound_proxy: put('OUTBOUND_PROXY'),
    },
  },
  'provider-transport.conf': {
    '[${TRANSPORT}]': {
      ...NETWORK,
      '!type': 'transport',
      '!protocol': put('PROTOCOL'),
      '!bind': put('BIND'),
    },
  },
  'provider-registration.conf': {
    '[${NAME}]': {
      '!type': 'registration',
      transport: put('TRANSPORT'),
      server_uri: put('TARGET'),
      client_uri: put('CLIENT'),
      contact_user: put('CONTACT_USER'),
      outbound_auth: put('NAME'),
      outbound_proxy: put('OUTBOUND_PROXY'),
      '!line': 'yes',
      '!endpoint': put('NAME'),
      expiration: PLAIN,
      max_random_initial_delay: PLAIN,
      retry_interval: PLAIN,
      forbidden_retry_interval: PLAIN,
      fatal_retry_interval: PLAIN,
      max_retries: PLAIN,
      auth_rejection_permanent: 'no',
    },
  },
};

/** What is wrong with a file: one line each. */
function faultsOf(file: string, text: string): string[] {
  const faults: string[] = [];
  const sections = KNOWN[file] ?? {};
  const seen: string[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    if (line === '' || /^;(?!-)/.test(line) || (file === 'pjsip.conf' && INCLUDES.includes(line))) continue;
    const [, key, value = ''] = /^(\w+) =>? (\S[^;]*)$/.exec(line) ?? [];
    if (sections[line] !== undefined && !seen.includes(line)) {
      section = line;
      seen.push(section);
    } else if (key === undefined || section === '') faults.push(`is not known: ${line}`);
    else {
      const rule = sections[section]?.[`!${key}`] ?? sections[section]?.[key];
      const isRight = typeof rule === 'string' ? value === rule : rule?.test(value);
      if (!isRight) faults.push(`${section}: is not known, or not with this value: ${line}`);
      seen.push(`${section}!${key}`);
    }
  }
  const wanted = Object.entries(sections).flatMap(([name, settings]) => [
    name,
    ...Object.keys(settings)
      .filter((key) => key.startsWith('!'))
      .map((key) => name + key),
  ]);
  return [...faults, ...wanted.filter((one) => !seen.includes(one)).map((one) => `is missing: ${one}`)];
}

const files = readdirSync(folder).filter((file) => !OTHERS.includes(file));

for (const file of files) {
  test(`every setting is known, and what decides who may do what is as it must be: ${file}`, () => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    assert.ok(KNOWN[file] !== undefined, 'a file that this test does not know');
    assert.deepEqual(faultsOf(file, text), []);
  });
}

test('every file that this test knows is there', () => {
  assert.deepEqual(files.toSorted(), Object.keys(KNOWN).toSorted());
});

/** One fault each: what would open Asterisk, or have it read more than it should. */
const HOLES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'pjsip.conf': [
    ['context = from-provider', 'context = transfer'],
    ['identify_by = ip', 'identify_by = ip,username'],
    ['endpoint_identifier_order = ip', 'endpoint_identifier_order = ip,anonymous'],
    ['allow_transfer = no', 'allow_transfer = yes'],
    ['allow_subscribe = no', 'allow_subscribe = no\nmessage_context = from-provider'],
    ['allow_subscribe = no', 'allow_subscribe = no\nredirect_method = uri_core'],
    ['set_var = FORWARD_CONTEXT=nowhere', 'set_var = FORWARD_CONTEXT=${NAME}'],
    ['ice_support = no\n', ''],
    ['protocol = tcp', 'protocol = ws'],
    ['[udp]', '[anonymous]'],
    ['#include /run/asterisk/etc/providers/*.conf', '#exec /tmp/program'],
    ['[udp]', ';-- a comment --;allow_guests = yes\n[udp]'],
  ],
  'provider.conf': [
    ['aors = ${AOR}', 'aors = ${AOR}\ncontext = ${FALLBACK}'],
    ['rtp_symmetric = ${SYMMETRIC}', 'rtp_symmetric = yes'],
    ['set_var = ${SET_DOMAIN}', 'set_var = X=${EVAL(${NAME})}'],
    ['permit = ${PERMIT}\n', ''],
  ],
  'provider-identify.conf': [
    ['match = ${SOURCES}', 'match = 0.0.0.0/0'],
    ['match = ${SOURCES}', 'match = ${SOURCES}\nmatch_header = X-Name: ${NAME}'],
  ],
  'provider-target.conf': [['type = aor', 'type = aor\nmax_contacts = 10']],
  'rtp.conf': [
    ['icesupport = no', 'icesupport = yes'],
    ['strictrtp = yes', 'strictrtp = no'],
    ['probation = ${RTP_PROBATION}', 'probation = 4'],
  ],
  'asterisk.conf': [
    ['nocolor = yes', 'nocolor = yes\nexecincludes = yes'],
    ['live_dangerously = no\n', ''],
  ],
  'ari.conf': [['pretty = no', 'pretty = no\nallowed_origins = *']],
  'http.conf': [
    ['bindaddr = ${ARI_ADDRESS}', 'bindaddr = 0.0.0.0'],
    ['enable_static = no', 'enable_static = yes'],
  ],
  'manager.conf': [['webenabled = no', 'webenabled = yes']],
  'logger.conf': [['queue_log = no', 'queue_log = no\nexec_after_rotate = /tmp/program']],
};
for (const [file, holes] of Object.entries(HOLES)) {
  for (const [right, wrong] of holes) {
    test(`a hole in ${file} is seen: ${JSON.stringify(wrong)}`, () => {
      const text = readFileSync(new URL(file, folder), 'utf8');
      assert.ok(text.includes(right));
      assert.notDeepEqual(
        faultsOf(
          file,
          text.replace(right, () => wrong),
        ),
        [],
      );
    });
  }
}
