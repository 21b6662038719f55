/** Limits of a call's duration. */
export interface DurationLimits {
  readonly maxDurationMs: number;
  /** Time of the bot's warning before the end. 0: no warning. */
  readonly warningMs: number;
}

/**
 * Starts the timers of a call that was answered `spentMs` ago, perhaps in a previous process.
 * `tellBot` gets the remaining ms, `end` is called at the limit. Returns a function that stops
 * them.
 */
export function limitDuration(
  { maxDurationMs, warningMs }: DurationLimits,
  spentMs: number,
  tellBot: (remainingMs: number) => void,
  end: () => void,
): () => void {
  // If the limit passed while no process ran, the call gets the warning time: its bot can say
  // goodbye.
  const leastMs = Math.min(warningMs, maxDurationMs);
  const leftMs = Math.max(leastMs, maxDurationMs - Math.max(0, spentMs));
  const remainingMs = Math.min(warningMs, leftMs);
  const isWarned = warningMs > 0 && warningMs < maxDurationMs;
  const warning = isWarned ? setTimeout(() => tellBot(remainingMs), leftMs - remainingMs) : undefined;
  const limit = setTimeout(end, leftMs);
  return () => {
    clearTimeout(warning);
    clearTimeout(limit);
  };
}
