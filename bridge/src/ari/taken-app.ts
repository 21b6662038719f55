import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import { ActiveApps } from './active-apps.ts';
import { AriConnection, type AriConnectionOptions, type HeldRequests } from './connection.ts';

/** An app beside the shared one must be open within this time, ms. */
const OPEN_MS = 3_000;
/** Requests of our calls do not depend on this app. */
const HOLD_NOTHING: Omit<HeldRequests, 'apps'> = { suspend: () => {}, resume: () => {}, refuse: () => {} };

/**
 * Takes the app of another process. Resolves to a function that closes it. Rejects if Asterisk does
 * not answer within 3 s.
 */
export async function takeApp(
  access: AriAccess,
  options: AriConnectionOptions,
): Promise<() => Promise<void>> {
  const ready = Promise.withResolvers<void>();
  const ignore = () => {};
  const taken = new AriConnection(
    access,
    options,
    { ...HOLD_NOTHING, apps: new ActiveApps(() => access.app) },
    {
      onConnected: async () => {},
      onReady: () => ready.resolve(),
      onDown: ignore,
      onTakenOver: ignore,
      onAsked: ignore,
      onYielded: ignore,
      onOffered: ignore,
      onLeft: ignore,
      onAsteriskStopping: ignore,
      onEvent: ignore,
      onUnreadable: ignore,
    },
  );
  taken.start();
  try {
    await Promise.race([ready.promise, tooLate(access.app)]);
  } catch (error) {
    await taken.stop();
    throw error;
  }
  // The claim stays: by it a process that only stood still knows that its calls are ours.
  return () => taken.stop(true);
}

/** Rejects after the limit for an app to open. */
export async function tooLate(app: string): Promise<never> {
  await delay(OPEN_MS, undefined, { ref: false });
  throw new Error(`the app ${app} did not open within ${OPEN_MS} ms`);
}
