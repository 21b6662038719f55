export const DAY_S = 86_400;
export const DAY_MS = 86_400_000;
/** The unit of the settings for recordings. */
export const MEGABYTE = 1_000_000;
/** The unit of the setting for records, and of what may wait in memory. */
export const MEBIBYTE = 1_048_576;
