import type { FastifyRequest } from 'fastify';
import { Failures } from './failures.ts';

/** Which route got the wrong token. */
export type GuardedRoute = 'api' | 'twilio';

/** Handles unauthorized requests: counts them, slows them down per address and logs them. */
export class Guard {
  readonly #failures: Failures;
  readonly #count: (route: GuardedRoute) => void;

  /** `max`: unauthorized requests at once. `count` is called for each. */
  constructor(max: () => number, count: (route: GuardedRoute) => void) {
    this.#failures = new Failures(max);
    this.#count = count;
  }

  /** Counts an unauthorized request. Returns 0, or the seconds after which the client may retry. */
  refused(request: FastifyRequest, route: GuardedRoute): number {
    this.#count(route);
    const { retryAfterS, toTell } = this.#failures.failed(request.ip, performance.now());
    if (toTell !== undefined)
      request.log.warn({ address: request.ip, route, refused: toTell }, 'many requests with a wrong token');
    return retryAfterS;
  }
}
