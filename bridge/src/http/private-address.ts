/**
 * Where a process answers the other processes of the bridge: a port of 127.0.0.1, and a secret by
 * which they know each other.
 */
export interface PrivateAddress {
  readonly port: number;
  readonly secret: string;
}

/** Another process of the bridge, and how it is reached. */
export interface OtherProcess {
  readonly instance: string;
  readonly address: PrivateAddress;
}

/** Formats an address for the claim (`ari/claim.ts`). */
export function formatAddress({ port, secret }: PrivateAddress): string {
  return `${port}:${secret}`;
}

/** Parses an address. Undefined if the text is not one: a process of an older version has none. */
export function parseAddress(text: string): PrivateAddress | undefined {
  const [, port, secret] = /^(\d{1,5}):([0-9a-f]{64})$/.exec(text) ?? [];
  return port === undefined || secret === undefined ? undefined : { port: Number(port), secret };
}
