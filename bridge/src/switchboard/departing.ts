import type { AsteriskLink } from './asterisk-link.ts';
import type { Departing } from './departure.ts';
import type { Switchboard } from './switchboard.ts';

/** The process as its departure sees it. `hurry`: ends the last words of all calls. */
export function departing(switchboard: Switchboard, link: AsteriskLink, hurry: () => void): Departing {
  const { running, handingOver } = switchboard;
  return {
    get isIdle() {
      return running.count === 0;
    },
    get isHandingOver() {
      return handingOver.isUnderWay;
    },
    get handedOverMs() {
      return handingOver.completedMs;
    },
    drain: () => switchboard.drain(),
    hurry,
    toldToStop: () => link.toldToStop(),
    offer: () => link.offer(),
  };
}
