/** The command line of `call`. Pure. */
import { parseArgs } from 'node:util';

/** What `call` is asked to do. */
export interface CallOptions {
  /**
   * Name of the scenario file without extension. `caller…` places calls; all others wait for one.
   */
  scenario: string;
  to: string;
  /**
   * User of the request URI, if it is not the number: a registered line's contact. Empty: the
   * number.
   */
  requestUser: string;
  from: string;
  /** Asterisk's address and port. */
  sip: Endpoint;
  /** Our address; port 0 = any free one. */
  local: Endpoint;
  codec: 'pcmu' | 'pcma';
  seconds: number;
  toneHz: number;
  /** The caller is silent for quietMs, then speaks for speakMs, again and again. */
  quietMs: number;
  speakMs: number;
  calls: number;
  callsPerSecond: number;
  /** The call's id (X-Call-ID); several calls get it with `-1`, `-2` … */
  callId: string;
  headers: string[];
  digits: string;
  digitsAfterMs: number;
  ringMs: number;
  /** How long a call is held. */
  holdMs: number;
  /** Counted from the last provisional response. */
  giveUpMs: number;
  status: number;
  referTo: string;
  /** Answer to a REFER of Asterisk's, and what came of it (both SIP statuses). */
  referStatus: number;
  notifyStatus: number;
  username: string;
  password: string;
  /** Where the mock bot tells what it heard; undefined: only this end is judged. */
  mockUrl?: string;
  /** Seconds after which a waiting end gives up if no call comes. */
  waitSeconds: number;
  json: boolean;
}

/** Address and port. */
export interface Endpoint {
  address: string;
  port: number;
}

/** Shown by --help. */
export const USAGE = `call: one SIP call with sound through Asterisk, and what was heard
  --to 100               number to call             --from +4915112345  caller's number
  --sip 127.0.0.1:5060   Asterisk                   --local 127.0.0.2   our address[:port]
  --seconds 8            length of the call         --codec pcmu        or pcma
  --tone 440             what we say, in Hz         --quiet-ms 3500 --speak-ms 1500  silence and speech in turn
  --calls 1 --rate 10    how many, how many a second
  --call-id ID           else a random one          --header 'X-Tenant: acme'  (repeatable)
  --request-user line                               user of the request URI, else the number
  --digits 12# --digits-after-ms 1000               DTMF (RFC 4733)
  --mock-url http://127.0.0.1:8080                  the lab's bot, asked what it heard
  --scenario caller      caller-gives-up (--give-up-ms 500), caller-refers (--refer-to sip:…), caller-referred (--refer-status 202 --notify-status 200 --ring-ms),
                         caller-holds (--ring-ms --hold-ms), caller-informs (--digits-after-ms), caller-refreshed (--ring-ms), callee (--ring-ms 200),
                         callee-refuses (--status 486), callee-early, callee-refuses-early, callee-does-not-answer, registrar (--username --password)
  --wait-seconds 20      limit for an end that waits for a call
  --json                 everything that was measured`;

const NAME = /^[\w-]+$/;

/** Reads the arguments. Throws an Error that says which one is wrong. */
export function parseOptions(args: string[], randomId: string): CallOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: {
      scenario: { ...text, default: 'caller' },
      to: { ...text, default: '100' },
      'request-user': { ...text, default: '' },
      from: { ...text, default: '+4915112345' },
      sip: { ...text, default: '127.0.0.1:5060' },
      local: { ...text, default: '127.0.0.2' },
      codec: { ...text, default: 'pcmu' },
      seconds: { ...text, default: '8' },
      tone: { ...text, default: '440' },
      'quiet-ms': { ...text, default: '3500' },
      'speak-ms': { ...text, default: '1500' },
      calls: { ...text, default: '1' },
      rate: { ...text, default: '10' },
      'call-id': { ...text, default: randomId },
      header: { ...text, multiple: true, default: [] },
      digits: { ...text, default: '' },
      'digits-after-ms': { ...text, default: '1000' },
      'ring-ms': { ...text, default: '200' },
      'hold-ms': { ...text, default: '3000' },
      'give-up-ms': { ...text, default: '500' },
      status: { ...text, default: '486' },
      'refer-to': { ...text, default: '' },
      'refer-status': { ...text, default: '202' },
      'notify-status': { ...text, default: '200' },
      username: { ...text, default: '' },
      password: { ...text, default: '' },
      'mock-url': text,
      'wait-seconds': { ...text, default: '20' },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.codec !== 'pcmu' && values.codec !== 'pcma') throw new Error('--codec is pcmu or pcma');
  if (!NAME.test(values.scenario)) throw new Error('--scenario is the name of a scenario');
  if (!/^[0-9*#A-D]*$/.test(values.digits)) throw new Error('--digits holds 0-9 * # A-D');
  const number = (name: keyof typeof values, min: number, max: number) =>
    readNumber(name, String(values[name]), min, max);
  return {
    scenario: values.scenario,
    to: values.to,
    requestUser: values['request-user'],
    from: values.from,
    sip: readEndpoint('sip', values.sip),
    local: readEndpoint('local', values.local),
    codec: values.codec,
    seconds: number('seconds', 0.1, 600),
    toneHz: number('tone', 0, 3400),
    quietMs: number('quiet-ms', 0, 60_000),
    speakMs: number('speak-ms', 0, 60_000),
    calls: number('calls', 1, 200),
    callsPerSecond: number('rate', 1, 50),
    callId: values['call-id'],
    headers: values.header,
    digits: values.digits,
    digitsAfterMs: number('digits-after-ms', 1, 60_000),
    ringMs: number('ring-ms', 0, 60_000),
    holdMs: number('hold-ms', 1, 60_000),
    giveUpMs: number('give-up-ms', 1, 60_000),
    status: number('status', 300, 699),
    referTo: values['refer-to'],
    referStatus: number('refer-status', 200, 699),
    notifyStatus: number('notify-status', 200, 699),
    username: values.username,
    password: values.password,
    ...(values['mock-url'] ? { mockUrl: values['mock-url'] } : {}),
    waitSeconds: number('wait-seconds', 1, 600),
    json: values.json,
  };
}

/** Whether the scenario places calls (else it waits for them). */
export function placesCalls(options: CallOptions): boolean {
  return options.scenario.startsWith('caller');
}

function readNumber(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= min && number <= max)) {
    throw new Error(`--${name} is a number from ${min} to ${max}`);
  }
  return number;
}

function readEndpoint(name: string, value: string): Endpoint {
  const [, address, port] = /^(\d+\.\d+\.\d+\.\d+)(?::(\d{1,5}))?$/.exec(value) ?? [];
  if (address === undefined) throw new Error(`--${name} is an IPv4 address with or without port`);
  return { address, port: Number(port ?? (name === 'sip' ? 5060 : 0)) };
}
