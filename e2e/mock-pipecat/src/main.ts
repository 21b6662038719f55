import { join } from 'node:path';
import { MockServer } from './server.ts';
import { Voice } from './voice.ts';

const address = process.env.MOCK_ADDRESS || '127.0.0.1';
const port = Number(process.env.MOCK_PORT || 8080);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error('MOCK_PORT: must be a port number');
  process.exit(1);
}

const voice = new Voice(join(import.meta.dirname, '../voice'));
const server = new MockServer(voice, (line) => console.log(line));
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

const listening = await server.listen(address, port);
console.log(`mock-pipecat listens on ${address}:${listening}, ${voice.size} recorded phrases`);
stop.signal.addEventListener('abort', () => void server.close());
