/** WebSocket close codes (RFC 6455 section 7.4.1) of a bot's socket. */
export const CLOSE_CODE = {
  /** Either side is done. */
  normal: 1000,
  protocolError: 1002,
  /** Never sent: the close frame had no code (section 7.1.5). */
  noCode: 1005,
  /** Never sent: there was no close frame. */
  abnormal: 1006,
  policyViolation: 1008,
  tooBig: 1009,
} as const;
