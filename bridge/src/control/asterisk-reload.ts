import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import {
  type AsteriskReload,
  parseReloaded,
  reloadedVariable,
  reloadVariable,
} from '../ari/reload-variables.ts';

/**
 * Asterisk checks, renders and loads the files: about 1.5 s, most of it until it looks. It tries
 * for 10 s where it reloads something else. `RELOAD_S` of scripts/reloads.sh is longer.
 */
export const ANSWER_MS = 30_000;
const LOOK_MS = 200;
/** Another process of the bridge may have put its question in place of ours. */
const AGAIN_MS = 3_000;
const NUMBER_BYTES = 8;

/** The part of ARI that is needed. */
export type Variables = Pick<AriClient, 'globalVariable' | 'setGlobalVariable' | 'removeGlobalVariable'>;

/**
 * Has Asterisk apply the providers' files of this digest. Undefined: it is not ours, or has just
 * started, and applies no files. A request that fails is tried again. Never rejects.
 */
export async function reloadAsterisk(
  ari: Variables,
  app: string,
  generation: string,
): Promise<AsteriskReload | undefined> {
  const number = randomBytes(NUMBER_BYTES).toString('hex');
  const question = `${generation} ${number}`;
  const endMs = performance.now() + ANSWER_MS;
  let askedMs: number | undefined;
  let why = '';
  do {
    try {
      const value = await ari.globalVariable(reloadedVariable(app));
      if (askedMs === undefined && value === '') return undefined;
      const answer = parseReloaded(value, number);
      if (answer !== undefined) return answer;
      if (askedMs === undefined || performance.now() - askedMs >= AGAIN_MS) {
        await ari.setGlobalVariable(reloadVariable(app), question);
        askedMs = performance.now();
      }
      why = `did not apply the files within ${ANSWER_MS / 1000} s`;
    } catch (error) {
      why = `does not reply: ${(error as Error).message}`;
    }
    await delay(LOOK_MS);
  } while (performance.now() < endMs);
  await withdraw(ari, app, question);
  return { refused: `${why}; where it applies them yet, the bridge takes them too`, isFault: false };
}

/** Asterisk looks for the question again before it changes anything. */
async function withdraw(ari: Variables, app: string, question: string): Promise<void> {
  try {
    const variable = reloadVariable(app);
    if ((await ari.globalVariable(variable)) === question) await ari.removeGlobalVariable(variable);
  } catch {
    // What Asterisk applies yet the bridge sees by the digest, and follows.
  }
}
