/** What failed of a call's media. Errors keep it on their way from one thread to another; their class they do not. */
export const MEDIA_ERROR_CODES = [
  /** No UDP port of the range could be had. */
  'no-port',
  /** Asterisk's media WebSocket could not be opened. */
  'media-socket',
  /** The bot could not be reached, refused, or was too slow. */
  'bot-unreachable',
  /** The worker has died, and what it carried with it. */
  'worker-died',
  /** The worker did not answer in time. */
  'late',
  /** Anything else: a defect. */
  'unknown',
] as const;
export type MediaErrorCode = (typeof MEDIA_ERROR_CODES)[number];

/** A failure of a call's media, as its call sees it. */
export class MediaError extends Error {
  override name = 'MediaError';
  readonly code: MediaErrorCode;

  constructor(code: MediaErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The code of what a worker has caught. */
export function mediaErrorCode({ code }: { readonly code?: unknown }): MediaErrorCode {
  return MEDIA_ERROR_CODES.find((known) => known === code) ?? 'unknown';
}
