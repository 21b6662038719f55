/** A day, s. */
export const DAY_S = 86_400;
/** A day, ms. */
export const DAY_MS = 86_400_000;
/** The unit of recording sizes in settings. */
export const MEGABYTE = 1_000_000;
/** The unit of the record database's size in settings, and of limits in memory. */
export const MEBIBYTE = 1_048_576;
