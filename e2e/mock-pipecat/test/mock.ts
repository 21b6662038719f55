/** The mock of a test file: starts before its first test, and closes after the last. */
import { after, before } from 'node:test';
import { MockServer } from '../src/server.ts';
import { Voice } from '../src/voice.ts';

const server = new MockServer(new Voice('/nonexistent'), () => {});
let port = 0;
before(async () => {
  port = await server.listen('127.0.0.1', 0);
});
after(() => server.close());

/** Port of the mock, once it has started. */
export const mockPort = (): number => port;

/** URL of the mock's HTTP interface for a path with its query. */
export const mockUrl = (path: string): string => `http://127.0.0.1:${port}${path}`;
