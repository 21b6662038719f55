import type { FastifyRequest } from 'fastify';
import { Failures } from './failures.ts';

/** Where a token was tried. */
export type GuardedRoute = 'api' | 'twilio';

/** Watches those who have no right token: counts them, slows them down by address, and speaks of it. */
export class Guard {
  readonly #failures: Failures;
  readonly #count: (route: GuardedRoute) => void;

  /** `max`: so many may be wrong at once; `count` hears of each. */
  constructor(max: number, count: (route: GuardedRoute) => void) {
    this.#failures = new Failures(max);
    this.#count = count;
  }

  /** A request had no right token. Returns 0, or the seconds after which its sender may try again. */
  refused(request: FastifyRequest, route: GuardedRoute): number {
    this.#count(route);
    const { retryAfterS, toTell } = this.#failures.failed(request.ip, performance.now());
    if (toTell !== undefined)
      request.log.warn({ address: request.ip, route, refused: toTell }, 'wrong tokens, again and again');
    return retryAfterS;
  }
}
