import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Forwarded, sendForwarded } from './forwarding.ts';
import type { Guard } from './guard.ts';
import { isSameSecret } from './secret.ts';

/** What the endpoint works with. */
export interface TwilioRest {
  /**
   * The bot's AuthToken: BOT_TOKEN, or else the API's token. Read at each request: a reload may
   * change it. Undefined: every request is refused.
   */
  readonly token: string | undefined;
  /**
   * Ends the call of this SID after the queued audio, as a bot's hang-up. False if there is no such
   * call.
   */
  readonly hangUp: (callSid: string) => boolean;
  /** Sends a request to the process of the bridge that has its call. */
  readonly forward?: (request: FastifyRequest, accountSid: string) => Promise<Forwarded>;
  /** With this in place of the token another process of the bridge sends its requests. */
  readonly processSecret?: (request: FastifyRequest) => string | undefined;
}

interface CallRoute {
  readonly Params: { readonly accountSid: string; readonly callSid: string };
  readonly Body: Readonly<Record<string, string>> | undefined;
}

/** Twilio's error codes, by HTTP status (https://www.twilio.com/docs/api/errors). */
export const ERROR_CODES = { 400: 20001, 401: 20003, 404: 20404, 429: 20429, 503: 20503 } as const;

/**
 * Twilio's REST API for bots that hang up by it: `POST
 * /2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}.json` with `Status=completed`. HTTP Basic
 * authentication with the path's AccountSid and the bots' token. Any AccountSid is valid: there is
 * only one account. `guard` slows down token guesses.
 */
export function addTwilioRest(server: FastifyInstance, twilio: TwilioRest, guard?: Guard): void {
  // A scope of its own: no other route parses forms.
  server.register((scope, _options, registered) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
    scope.post<CallRoute>('/2010-04-01/Accounts/:accountSid/Calls/:callSid.json', async (request, reply) => {
      const { accountSid, callSid } = request.params;
      const isFromProcess = isAuthorized(request, accountSid, twilio.processSecret?.(request));
      if (!isFromProcess && !isAuthorized(request, accountSid, twilio.token)) {
        const retryAfterS = guard?.refused(request, 'twilio') ?? 0;
        if (retryAfterS > 0) {
          reply.header('retry-after', retryAfterS);
          return fail(reply, 429, 'Too Many Requests');
        }
        reply.header('www-authenticate', 'Basic realm="pipecat-bridge"');
        return fail(reply, 401, 'Authenticate');
      }
      if (request.body?.Status !== 'completed')
        return fail(reply, 400, 'Only Status=completed is known here: it ends the call');
      const uri = request.url;
      if (twilio.hangUp(callSid))
        return reply.send({ sid: callSid, account_sid: accountSid, status: 'completed', uri });
      const forwarded = isFromProcess ? undefined : await twilio.forward?.(request, accountSid);
      if (forwarded?.type === 'answered') return sendForwarded(reply, forwarded.answer);
      if (forwarded?.type === 'silent') return fail(reply, 503, 'The call may exist, and cannot be reached');
      return fail(reply, 404, `The requested resource ${uri} was not found`);
    });
    registered();
  });
}

function isAuthorized(request: FastifyRequest, accountSid: string, token: string | undefined): boolean {
  const given = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined || given === undefined) return false;
  return isSameSecret(Buffer.from(given, 'base64').toString('utf8'), `${accountSid}:${token}`);
}

function fail(reply: FastifyReply, status: keyof typeof ERROR_CODES, message: string): FastifyReply {
  const code = ERROR_CODES[status];
  return reply
    .code(status)
    .send({ code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status });
}
