/** How the audio of a call crosses between Asterisk and the bridge. */
export const TRANSPORTS = ['rtp', 'websocket'] as const;
/** One of them. */
export type Transport = (typeof TRANSPORTS)[number];

/** Whether a call is recorded. `paused`: only after the bot or the operator resumes it. */
export const RECORDING_MODES = ['on', 'off', 'paused'] as const;
/** One of them. */
export type RecordingMode = (typeof RECORDING_MODES)[number];
