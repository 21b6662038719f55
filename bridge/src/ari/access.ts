/** Access to one Asterisk's ARI. `timeoutMs` limits each request. */
export interface AriAccess {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly app: string;
  readonly timeoutMs: number;
}

/** Value of the Authorization header for ARI (HTTP Basic, RFC 7617). */
export function basicAuthorization(access: AriAccess): string {
  return `Basic ${Buffer.from(`${access.username}:${access.password}`).toString('base64')}`;
}
