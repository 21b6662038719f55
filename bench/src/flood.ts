/** A flood of INVITEs from one phone's address, and how each was answered. */
import { randomUUID } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Distribution } from './generator.ts';
import { distribution } from './run.ts';

/** What is sent, from where, and where to. */
export interface FloodOptions {
  readonly invites: number;
  /** A second. */
  readonly rate: number;
  readonly address: string;
  readonly sipPort: number;
}

/** How the INVITEs were answered. */
export interface FloodReport {
  readonly invites: number;
  /** Number of INVITEs by final status. `none`: no final answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** From INVITE to the final answer. */
  readonly answerMs: Distribution;
}

/** Who is not answered until then, is not. */
const LIMIT_MS = 8_000;
const POLL_MS = 20;

/** Sends the INVITEs evenly, once each, and resolves when all are answered or the limit is over. */
export async function flood({ invites, rate, address, sipPort }: FloodOptions): Promise<FloodReport> {
  const socket = createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  const sentMs = new Map<string, number>();
  const statuses: Record<string, number> = {};
  const answersMs: number[] = [];
  socket.on('message', (data) => {
    const atMs = performance.now();
    const text = data.toString();
    const status = /^SIP\/2\.0 (\d{3})/.exec(text)?.[1] ?? '';
    const id = /^call-id: *(\S+)/im.exec(text)?.[1] ?? '';
    const begunMs = sentMs.get(id);
    if (begunMs === undefined || status < '200') return;
    sentMs.delete(id);
    answersMs.push(atMs - begunMs);
    statuses[status] = (statuses[status] ?? 0) + 1;
    socket.send(request('ACK', id, socket, sipPort, /^to: *(.*)$/im.exec(text)?.[1]), sipPort, '127.0.0.1');
  });
  const startMs = performance.now();
  for (let sent = 0; sent < invites; sent++) {
    await delay(Math.max(0, startMs + (sent * 1_000) / rate - performance.now()));
    const id = randomUUID();
    sentMs.set(id, performance.now());
    socket.send(request('INVITE', id, socket, sipPort), sipPort, '127.0.0.1');
  }
  const endMs = performance.now() + LIMIT_MS;
  while (sentMs.size > 0 && performance.now() < endMs) await delay(POLL_MS);
  if (sentMs.size > 0) statuses.none = sentMs.size;
  socket.close();
  return { invites, statuses, answerMs: distribution(answersMs) };
}

/** An INVITE with an offer, or the ACK of its refusal (RFC 3261 section 17.1.1.3). */
function request(method: 'INVITE' | 'ACK', id: string, socket: Socket, sipPort: number, to?: string): string {
  const { address, port } = socket.address();
  const uri = `sip:100@127.0.0.1:${sipPort}`;
  const offer = [
    'v=0',
    `o=- 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    'm=audio 9 RTP/AVP 0',
    '',
  ];
  const body = method === 'INVITE' ? offer.join('\r\n') : '';
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${id}`,
    'Max-Forwards: 70',
    `From: <sip:+4930555000@${address}>;tag=${id}`,
    `To: ${to ?? `<${uri}>`}`,
    `Call-ID: ${id}`,
    `CSeq: 1 ${method}`,
    `Contact: <sip:flood@${address}:${port}>`,
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}
