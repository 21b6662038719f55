import { OUTCOMES } from './outcome.ts';

/** Why a transfer is refused before it starts. */
export const TRANSFER_REFUSALS = [
  'unknown-provider',
  'invalid-number',
  'number-not-allowed',
  'context-not-allowed',
  'invalid-extension',
  'provider-full',
  'under-way',
  'not-active',
] as const;
export type TransferRefusal = (typeof TRANSFER_REFUSALS)[number];

const DIAL_FAILURES = OUTCOMES.filter((outcome) => outcome !== 'answered');

/** Why a transfer failed, as the bot, the record, the log and the metrics show it. */
export const TRANSFER_FAILURES = [
  ...new Set([...TRANSFER_REFUSALS, ...DIAL_FAILURES, 'no-such-extension', 'bridge-died'] as const),
];
export type TransferFailure = (typeof TRANSFER_FAILURES)[number];
