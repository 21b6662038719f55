import {
  Agent,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { CONNECT_AGAIN } from './event-stream.ts';

/** Connections to other processes of the bridge. They are not kept: requests are few. */
const agent = new Agent({ keepAlive: false });
/** Headers of one connection (RFC 9110 section 7.6.1). The framing is not among them. */
const HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade'];

/** The other process begins its answer within this time, or it hangs. */
const ANSWER_MS = 10_000;

/**
 * Answers a listener to events who came on an old connection: it connects again, to the successor.
 * A stream that we passed on would be cut when this process ends.
 */
export function sendBack(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.end(`${CONNECT_AGAIN}\n`);
}

/**
 * Passes a request to another process of the bridge as it is, and its answer to the client. If that
 * process does not answer, the client gets 503.
 */
export function passOn(request: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url, headers } = request;
  const onward = httpRequest({
    host: '127.0.0.1',
    port,
    method,
    path: url,
    headers: endToEnd(headers),
    agent,
  });
  const limit = setTimeout(() => onward.destroy(new Error('no answer')), ANSWER_MS);
  onward.on('close', () => clearTimeout(limit));
  onward.on('response', (answer) => {
    clearTimeout(limit);
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => refuse(response));
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

function endToEnd(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP.includes(name)));
}

function refuse(response: ServerResponse): void {
  if (response.headersSent) return void response.destroy();
  const status = 503;
  const detail = 'the new process of the bridge does not answer';
  response.writeHead(status, { 'content-type': 'application/problem+json', 'retry-after': '1' });
  response.end(JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail }));
}
