/** The REST steps of an inbound call's set-up, as the fake sees them, with what they do. */
export const SETUP_STEPS = [
  { step: 'ring', pattern: /\/ring$/ },
  { step: 'the subscription', pattern: /\/subscription$/ },
  { step: 'the bridge', pattern: /POST \/bridges$/ },
  { step: 'the media channel', pattern: /externalMedia$/ },
  { step: 'joining the media channel', pattern: /addChannel$/ },
  { step: 'the answer', pattern: /\/answer$/ },
  { step: 'joining the caller', pattern: /addChannel$/, nth: 2 },
] as const;
