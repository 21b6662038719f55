import { createHmac, randomBytes } from 'node:crypto';
import { fetch } from 'undici';
import { isSameSecret } from './secret.ts';

const CHALLENGE_BYTES = 16;
const CHALLENGE = /^[0-9a-f]{32}$/;
/** The process that has the port says within this time who it is. */
const ASK_MS = 2_000;

/** What bridges that hand over to each other have in common. */
export interface PortOwner {
  /** Digest of the Stasis app. It is public. */
  readonly app: string;
  /** Secret: ARI_PASSWORD. */
  readonly key: string;
}

/**
 * The answer of a bridge to a challenge: it has the same secret, and listens on this port itself.
 * Any program on the host can open the port while no bridge has it, and can repeat what /livez
 * says. Undefined: there is no valid challenge.
 */
export function proveOwner({ app, key }: PortOwner, port: number, challenge: unknown): string | undefined {
  if (typeof challenge !== 'string' || !CHALLENGE.test(challenge)) return undefined;
  return createHmac('sha256', key).update(`port:${app}:${port}:${challenge}`).digest('hex');
}

/** Whether a bridge that hands over to us has the port. Never rejects. */
export async function isOwners(owner: PortOwner, host: string, port: number): Promise<boolean> {
  const challenge = randomBytes(CHALLENGE_BYTES).toString('hex');
  const expected = proveOwner(owner, port, challenge) as string;
  try {
    const url = `http://${host}:${port}/livez?challenge=${challenge}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS) });
    const { proof } = (await response.json()) as { readonly proof?: unknown };
    return typeof proof === 'string' && isSameSecret(proof, expected);
  } catch {
    return false;
  }
}
