/** Addresses and ports of the tests' stack: all on loopback, none of the lab's. */

/** Where everything listens. A second stack at the same time needs others. */
export interface Ports {
  readonly sip: number;
  readonly ari: number;
  readonly asteriskRtpMin: number;
  readonly asteriskRtpMax: number;
  readonly http: number;
  readonly rtpMin: number;
  readonly rtpMax: number;
  readonly mock: number;
}

/** The ports of the tests. */
export const PORTS: Ports = {
  sip: 25_060,
  ari: 28_088,
  asteriskRtpMin: 24_000,
  asteriskRtpMax: 24_999,
  http: 28_090,
  rtpMin: 30_000,
  rtpMax: 31_999,
  mock: 28_080,
};

/** Where everything of ours listens. */
export const LOCALHOST = '127.0.0.1';
/** pb_fintech: known by its address, trusted with X- headers. */
export const FINTECH = '127.0.0.2';
/** pb_fintech's other address. */
export const SECOND_PHONE = '127.0.0.4';
/** acme: we register there. */
export const ACME = '127.0.0.3';
/** attentive: its callers may interrupt the AI. */
export const ATTENTIVE = '127.0.0.5';
/** trunk: takes no REFER; its keys are SIP INFO. */
export const TRUNK = '127.0.0.6';
/** twilio: its AI is made for Twilio. */
export const TWILIO = '127.0.0.8';
/** binary: its AI takes raw audio. */
export const BINARY = '127.0.0.10';
/** wideband: a second Asterisk. */
export const WIDEBAND = '127.0.0.7';
/** picky: few lines, and rules of its own. */
export const PICKY = '127.0.0.12';
/** stream: SIP over TCP. */
export const STREAM = '127.0.0.13';
/** Of a provider that a test adds while the stack runs. */
export const FRESH = '127.0.0.14';
/** Nobody's: no provider has it. */
export const STRANGER = '127.0.0.9';
/** Where the providers take calls. */
export const PROVIDER_PORT = 25_070;
/** ARI and RTP of the second Asterisk, which plays the telephone of `wideband`. */
export const WIDE_PHONE: Pick<Ports, 'ari' | 'asteriskRtpMin' | 'asteriskRtpMax'> = {
  ari: 28_089,
  asteriskRtpMin: 26_000,
  asteriskRtpMax: 26_099,
};
