/**
 * The global variable of Asterisk by which the bridge tells the dialplan that no call is taken. It
 * is a lease: a time up to which the gate is closed. A bridge that dies or hangs does not renew it,
 * and the gate opens by itself. The dialplan compares it with `EPOCH`, and reads its digits only.
 * `stopping` is for Asterisk's maintenance mode (`asterisk/gate`).
 */

/** Time that the gate stays closed after the last word of the bridge, s. */
export const LEASE_S = 5;

/** Name of the global variable that holds an app's gate. */
export function gateVariable(app: string): string {
  return `PIPECAT_GATE_${app}`;
}

/**
 * Name of the global variable that holds how many calls the callers of one provider may have at
 * most, where there are several providers.
 */
export function shareVariable(app: string): string {
  return `PIPECAT_SHARE_${app}`;
}

/** The variable's value: closed, as of `nowMs` (Unix time), or open. */
export function formatGate(state: 'open' | 'closed' | 'stopping', nowMs: number): string {
  if (state === 'open') return '';
  const until = Math.ceil(nowMs / 1_000) + LEASE_S;
  return state === 'stopping' ? `${until} stopping` : `${until}`;
}
