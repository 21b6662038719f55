/** Q.850 cause values, as Asterisk reports and accepts them. The value 0 is Asterisk's own. */
export const CAUSE = {
  notDefined: 0,
  unallocatedNumber: 1,
  noRouteToTransitNetwork: 2,
  noRouteToDestination: 3,
  misdialledTrunkPrefix: 5,
  normalClearing: 16,
  userBusy: 17,
  noUserResponding: 18,
  noAnswer: 19,
  subscriberAbsent: 20,
  callRejected: 21,
  numberChanged: 22,
  redirectedToNewDestination: 23,
  exchangeRoutingError: 25,
  nonSelectedUserClearing: 26,
  destinationOutOfOrder: 27,
  invalidNumberFormat: 28,
  normalUnspecified: 31,
  noCircuitAvailable: 34,
  networkOutOfOrder: 38,
  temporaryFailure: 41,
  switchingCongestion: 42,
  requestedCircuitNotAvailable: 44,
  resourceUnavailable: 47,
  incomingCallsBarred: 55,
  bearerCapabilityNotAvailable: 58,
  notMemberOfClosedUserGroup: 87,
  recoveryOnTimerExpiry: 102,
  interworking: 127,
} as const;

/** Names of causes, sent with the number to the bot and the record (`causeText`). */
const CAUSE_TEXTS: Readonly<Record<number, string>> = {
  [CAUSE.notDefined]: 'Not defined',
  [CAUSE.unallocatedNumber]: 'Unallocated number',
  [CAUSE.normalClearing]: 'Normal call clearing',
  [CAUSE.userBusy]: 'User busy',
  [CAUSE.noUserResponding]: 'No user responding',
  [CAUSE.noAnswer]: 'No answer from user',
  [CAUSE.callRejected]: 'Call rejected',
  [CAUSE.numberChanged]: 'Number changed',
  [CAUSE.nonSelectedUserClearing]: 'Non-selected user clearing',
  [CAUSE.destinationOutOfOrder]: 'Destination out of order',
  [CAUSE.invalidNumberFormat]: 'Invalid number format',
  [CAUSE.normalUnspecified]: 'Normal, unspecified',
  [CAUSE.noCircuitAvailable]: 'No circuit available',
  [CAUSE.networkOutOfOrder]: 'Network out of order',
  [CAUSE.temporaryFailure]: 'Temporary failure',
  [CAUSE.switchingCongestion]: 'Switching equipment congestion',
  [CAUSE.bearerCapabilityNotAvailable]: 'Bearer capability not available',
  [CAUSE.recoveryOnTimerExpiry]: 'Recovery on timer expiry',
  [CAUSE.interworking]: 'Interworking, unspecified',
};

/** The name of a Q.850 cause. */
export function causeText(cause: number): string {
  return CAUSE_TEXTS[cause] ?? `Cause ${cause}`;
}
