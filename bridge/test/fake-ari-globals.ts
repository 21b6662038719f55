import type { EventFields } from './fake-apps.ts';
import { type AriRequest, NO_CONTENT, type Reply, refused } from './fake-ari-request.ts';

/** Requests of the fake Asterisk that concern no channel: its global variables, and user events. */
export class FakeGlobals {
  readonly variables = new Map<string, string>();
  /** What it says of when it started. */
  startedAt = '2026-11-22T09:00:00.000+0000';
  /** How often a user event was asked for. */
  userEvents = 0;
  readonly #emit: (type: string, fields: EventFields) => void;

  constructor(emit: (type: string, fields: EventFields) => void) {
    this.#emit = emit;
  }

  /**
   * Carries out a request; undefined if another handler must do it. `hasApp`: whether there is an
   * app to send events to.
   */
  carryOut({ method, path, query }: AriRequest, hasApp: boolean): Reply | undefined {
    if (path === '/asterisk/ping') return { status: 200, body: { ping: 'pong', asterisk_id: 'fake' } };
    if (path === '/asterisk/info') return { status: 200, body: { status: { startup_time: this.startedAt } } };
    if (path === '/asterisk/variable') {
      const name = query.get('variable') ?? '';
      if (method === 'GET') return { status: 200, body: { value: this.variables.get(name) ?? '' } };
      const value = query.get('value');
      if (value === null) this.variables.delete(name);
      else this.variables.set(name, value);
      return NO_CONTENT;
    }
    const name = /^\/events\/user\/([^/]+)$/.exec(path)?.[1];
    if (name === undefined || method !== 'POST') return undefined;
    if (!hasApp) return refused(404, 'Application not found');
    this.userEvents += 1;
    const application = query.get('application') ?? '';
    this.#emit('ChannelUserevent', { application, eventname: name, userevent: { eventname: name } });
    return NO_CONTENT;
  }
}
