import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import {
  type AsteriskReload,
  parseReloaded,
  reloadedVariable,
  reloadVariable,
} from '../ari/reload-variables.ts';

/** Asterisk checks, renders and loads the files: about 1.5 s, most of it until it looks. */
const ANSWER_MS = 20_000;
const LOOK_MS = 200;
/** Another process of the bridge may have put its question in place of ours. */
const AGAIN_MS = 3_000;
const NUMBER_BYTES = 8;

/** The part of ARI that is needed. */
export type Variables = Pick<AriClient, 'globalVariable' | 'setGlobalVariable'>;

/**
 * Has Asterisk apply the providers' files of this digest. Undefined: it is not ours, and applies no
 * files. Never rejects.
 */
export async function reloadAsterisk(
  ari: Variables,
  app: string,
  generation: string,
): Promise<AsteriskReload | undefined> {
  try {
    return await ask(ari, app, generation);
  } catch (error) {
    return { refused: `does not reply: ${(error as Error).message}` };
  }
}

async function ask(ari: Variables, app: string, generation: string): Promise<AsteriskReload | undefined> {
  if ((await ari.globalVariable(reloadedVariable(app))) === '') return undefined;
  const number = randomBytes(NUMBER_BYTES).toString('hex');
  const endMs = performance.now() + ANSWER_MS;
  let askedMs = Number.NEGATIVE_INFINITY;
  while (performance.now() < endMs) {
    if (performance.now() - askedMs >= AGAIN_MS) {
      askedMs = performance.now();
      await ari.setGlobalVariable(reloadVariable(app), `${generation} ${number}`);
    }
    await delay(LOOK_MS);
    const answer = parseReloaded(await ari.globalVariable(reloadedVariable(app)), number);
    if (answer !== undefined) return answer;
  }
  return { refused: `did not apply the files within ${ANSWER_MS / 1000} s` };
}
