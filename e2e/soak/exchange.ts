/** Telephones that take calls: of callees, and of those to whom callers are transferred. */
import { randomUUID } from 'node:crypto';
import { RtpEnd } from '../phones/rtp-end.ts';
import { type SipArrival, SipPhone } from '../phones/sip-phone.ts';
import { audioLines, replyText, requestText, sdpText } from '../sipp/text.ts';
import { type Ports, PROVIDER_PORT } from '../stack/ports.ts';
import { LINES, type Line } from './kinds.ts';

const OFFER_LIMIT_MS = 25_000;
const REPLY_LIMIT_MS = 60_000;

/** One call that came to a telephone. */
export class Callee implements Disposable {
  readonly rtp: RtpEnd;
  readonly #phone: SipPhone;
  readonly #invite: SipArrival;
  readonly #line: Line;
  readonly #tag = randomUUID().slice(0, 8);

  constructor(phone: SipPhone, line: Line, invite: SipArrival, rtp: RtpEnd) {
    this.#phone = phone;
    this.#line = line;
    this.#invite = invite;
    this.rtp = rtp;
    rtp.farPort = Number(/^m=audio (\d+)/m.exec(invite.body)?.[1] ?? 0);
  }

  /** Answers the offer: `180 Ringing`, `486 Busy Here`, or `200 OK` with our audio. */
  reply(statusLine: string): void {
    const isAnswer = statusLine.startsWith('200');
    const body = isAnswer ? sdpText(LINES[this.#line].address, audioLines(this.rtp.port)) : '';
    const more = [`Contact: ${this.#contact}`];
    this.#invite.back(replyText(this.#invite, statusLine, { tag: this.#tag, more, body }));
  }

  /** Resolves when the other side ends the call: `BYE`, or `CANCEL` before the answer. */
  async gone(limitMs: number): Promise<void> {
    const isEnd = ({ method = '', headers }: SipArrival) =>
      ['BYE', 'CANCEL'].includes(method) && headers['call-id'] === this.#callId;
    const end = await this.#phone.next('the end of the call', isEnd, limitMs);
    if (end.method === 'CANCEL') this.reply('487 Request Terminated');
  }

  /** Hangs up. */
  async hangUp(): Promise<void> {
    const { headers } = this.#invite;
    const { address, transport } = LINES[this.#line];
    const to = headers.to ?? '';
    const request = {
      method: 'BYE',
      uri: /<([^>]+)>/.exec(headers.contact ?? '')?.[1] ?? '',
      transport: transport.toUpperCase(),
      via: `${address}:${PROVIDER_PORT}`,
      branch: `z9hG4bK${randomUUID()}`,
      from: /;tag=/.test(to) ? to : `${to};tag=${this.#tag}`,
      to: headers.from ?? '',
      contact: this.#contact,
      callId: this.#callId,
      sequence: 1,
    };
    this.#invite.back(requestText(request));
    const isReply = ({ status = 0, headers: those }: SipArrival) =>
      status >= 200 && those['call-id'] === this.#callId && those.cseq === '1 BYE';
    await this.#phone.next('the answer to BYE', isReply, REPLY_LIMIT_MS);
  }

  [Symbol.dispose](): void {
    this.rtp[Symbol.dispose]();
  }

  get #callId(): string {
    return this.#invite.headers['call-id'] ?? '';
  }

  get #contact(): string {
    const { address, transport } = LINES[this.#line];
    return `<sip:phone@${address}:${PROVIDER_PORT}${transport === 'tcp' ? ';transport=tcp' : ''}>`;
  }
}

/** The telephones of all providers that are called. */
export class Exchange implements AsyncDisposable {
  readonly #phones: ReadonlyMap<Line, SipPhone>;

  private constructor(phones: ReadonlyMap<Line, SipPhone>) {
    this.#phones = phones;
  }

  /** Opens them. */
  static async open(lines: readonly Line[], ports: Ports): Promise<Exchange> {
    const phones = new Map<Line, SipPhone>();
    for (const line of lines)
      phones.set(line, await SipPhone.open({ ...LINES[line], port: PROVIDER_PORT }, ports));
    return new Exchange(phones);
  }

  /** The call to this number, which no other call has. Throws an Error if none comes. */
  async take(line: Line, number: string): Promise<Callee> {
    const phone = this.#phones.get(line);
    if (phone === undefined) throw new Error(`nobody answers at ${line}`);
    const digits = number.replace(/\D/g, '');
    const fits = ({ method, text }: SipArrival) =>
      method === 'INVITE' && (/^INVITE sips?:([^@;>]*)/.exec(text)?.[1] ?? '').endsWith(digits);
    const invite = await phone.next(`an INVITE to ${number}`, fits, OFFER_LIMIT_MS);
    return new Callee(phone, line, invite, await RtpEnd.open(LINES[line].address));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const phone of this.#phones.values()) await phone[Symbol.asyncDispose]();
  }
}
