/**
 * Options of an RTP receiver: a call in PCMU with packets of 20 ms, and the bridge's own limits.
 */
export const PCMU_RECEIVER = {
  payloadType: 0,
  dtmfPayloadType: 101,
  clockRate: 8000,
  frameSamples: 160,
  frameBytes: 160,
  silence: 0xff,
  maxReorderMs: 60,
  idleMs: 200,
  maxLeadMs: 200,
};
