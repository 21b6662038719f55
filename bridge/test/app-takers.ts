import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { claimVariable, formatClaim } from '../src/ari/claim.ts';
import { type Lab, until } from './harness.ts';

/** The credentials of the fake Asterisk. */
export const AUTHORIZATION = `Basic ${Buffer.from('pipecat:right').toString('base64')}`;

/** Bots that have a call now. */
export const openBots = (...labs: Lab[]) =>
  labs.flatMap(({ bot }) => bot.sessions.filter(({ closed }) => closed === undefined)).length;

/** Asks for the app, as a successor does, and does not come. */
export async function askInVain(lab: Lab): Promise<void> {
  const url = `http://127.0.0.1:${lab.ari.port}/events/user/handover-x?application=pipecat`;
  await fetch(url, { method: 'POST', headers: { authorization: AUTHORIZATION } });
  await until(() => lab.logged('new calls come here again')[0], 'it gives up');
}

/** Takes the app as a process of an older version does: without asking. */
export async function takeByForce(t: TestContext, { ari }: Lab): Promise<void> {
  const url = `ws://127.0.0.1:${ari.port}/events?app=pipecat`;
  const socket = new WebSocket(url, { headers: { authorization: AUTHORIZATION } });
  t.after(() => socket.close());
  await new Promise((resolve) => socket.once('open', resolve));
  let beat = 0;
  const renewing = setInterval(() => {
    const claim = formatClaim({ instance: 'older', beat: ++beat, everyMs: 100 });
    ari.globals.variables.set(claimVariable('pipecat'), claim);
  }, 50);
  t.after(() => clearInterval(renewing));
}
