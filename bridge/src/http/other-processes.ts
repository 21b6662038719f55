import { fetch } from 'undici';
import { type PrivateAddress, parseAddress } from './private-address.ts';

/** Another process of the bridge, and how it is reached. */
export interface OtherProcess {
  readonly instance: string;
  readonly address: PrivateAddress;
}

/** A process on the same machine answers within this time, or it hangs. */
const ANSWER_MS = 3_000;

/** Processes that handed over to us and still live: how they are reached by HTTP. */
export class OtherProcesses {
  readonly #all = new Map<string, OtherProcess>();

  get all(): readonly OtherProcess[] {
    return [...this.#all.values()];
  }

  /** These processes live, and no others. Addresses by id, as their claims have them. */
  update(addresses: ReadonlyMap<string, string>): void {
    for (const instance of this.#all.keys()) if (!addresses.has(instance)) this.#all.delete(instance);
    for (const [instance, text] of addresses) {
      const address = parseAddress(text);
      if (address !== undefined && !this.#all.has(instance)) this.#all.set(instance, { instance, address });
    }
  }
}

/** Asks another process. Rejects if it does not answer within 3 s, or with an error. */
export async function askProcess(
  { address: { port, secret } }: OtherProcess,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  return await response.json();
}
