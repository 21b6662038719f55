/**
 * What failed in a call's media. The code is kept when an error crosses threads; the class is not.
 */
export const MEDIA_ERROR_CODES = [
  /** No UDP port of the range was available. */
  'no-port',
  /** Asterisk's media WebSocket could not be opened. */
  'media-socket',
  /** The bot could not be reached, refused the connection, or took too long. */
  'bot-unreachable',
  /** The worker died with all its calls' media. */
  'worker-died',
  /** The worker did not answer in time. */
  'late',
  /** Any other error: a defect. */
  'unknown',
] as const;
export type MediaErrorCode = (typeof MEDIA_ERROR_CODES)[number];

/** An error of a call's media, as its call sees it. */
export class MediaError extends Error {
  override name = 'MediaError';
  readonly code: MediaErrorCode;

  constructor(code: MediaErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The code of an error that a worker caught. */
export function mediaErrorCode({ code }: { readonly code?: unknown }): MediaErrorCode {
  return MEDIA_ERROR_CODES.find((known) => known === code) ?? 'unknown';
}
