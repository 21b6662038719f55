import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../e2e/mock-pipecat/src/main.ts', import.meta.url));

/** The lab's bot in a process of its own: where it listens, and its end. For tests. */
export async function startMock(): Promise<{ url: string; stop: () => Promise<void> }> {
  const mock = spawn(process.execPath, [MAIN], {
    env: { ...process.env, MOCK_ADDRESS: '127.0.0.1', MOCK_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(mock, 'exit');
  const lines = createInterface(mock.stdout);
  for await (const line of lines) {
    const port = /listens on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    // What it says from here on is not read, and must not fill its pipe.
    mock.stdout.resume();
    const stop = async () => {
      mock.kill();
      await exited;
    };
    return { url: `ws://127.0.0.1:${port}/ws/asterisk`, stop };
  }
  throw new Error('the mock did not start');
}
