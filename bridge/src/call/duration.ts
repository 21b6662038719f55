/** How long a call may last. */
export interface DurationLimits {
  readonly maxDurationMs: number;
  /** So long before it the bot is warned; 0: not at all. */
  readonly warningMs: number;
}

/**
 * Runs the timers of a call that was answered `spentMs` ago, perhaps in a process before: `warn` hears how much is left, `end` that
 * nothing is. Returns what stops them.
 */
export function limitDuration(
  { maxDurationMs, warningMs }: DurationLimits,
  spentMs: number,
  warn: (remainingMs: number) => void,
  end: () => void,
): () => void {
  // One whose time ran out while nobody served it has that of the warning: its bot can say goodbye.
  const leastMs = Math.min(warningMs, maxDurationMs);
  const leftMs = Math.max(leastMs, maxDurationMs - Math.max(0, spentMs));
  const remainingMs = Math.min(warningMs, leftMs);
  const isWarned = warningMs > 0 && warningMs < maxDurationMs;
  const warning = isWarned ? setTimeout(() => warn(remainingMs), leftMs - remainingMs) : undefined;
  const limit = setTimeout(end, leftMs);
  return () => {
    clearTimeout(warning);
    clearTimeout(limit);
  };
}
