import { AriError } from '../ari/requests.ts';
import { MediaError } from '../media/media-error.ts';

/** Retry-After when a limit is reached, s. When the next call ends is not known. */
export const CALLS_RETRY_S = 5;

/** A refused request: `status` is the HTTP status, `field` the invalid field. */
export class RequestRefused extends Error {
  override name = 'RequestRefused';
  readonly status: number;
  readonly field: string | undefined;
  /** Seconds until a retry may succeed. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, reason: string, about: { field?: string; retryAfterS?: number } = {}) {
    super(reason);
    this.status = status;
    this.field = about.field;
    this.retryAfterS = about.retryAfterS;
  }
}

/** Sends a request of the operator to Asterisk. Its failure refuses the operator's request. */
export async function askAsterisk<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof AriError)) throw error;
    if (error.status === 0)
      throw new RequestRefused(504, 'Asterisk did not reply; the same callId may be tried again');
    throw new RequestRefused(502, `Asterisk refused: ${error.message}`);
  }
}

/** Sends a request to a call's media, whose worker may have died: its calls are opened anew. */
export async function askMedia<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    const reason = `the call's media cannot be reached: ${error.message}`;
    throw new RequestRefused(503, reason, { retryAfterS: CALLS_RETRY_S });
  }
}

/** Asks other processes of the bridge. Without their answer the operator's request is refused. */
export async function askProcesses<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch {
    const reason = 'a process of the bridge that still has calls does not answer';
    throw new RequestRefused(503, reason, { retryAfterS: CALLS_RETRY_S });
  }
}

/** Reads call records. Without them the operator's request is refused. */
export async function askRecords<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    const reason = `the call records cannot be read: ${(error as Error).message}`;
    throw new RequestRefused(503, reason, { retryAfterS: CALLS_RETRY_S });
  }
}
