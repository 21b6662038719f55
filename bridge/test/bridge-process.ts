import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type Lab, until } from './harness.ts';

const MAIN = new URL('../src/main.ts', import.meta.url).pathname;

/** How a bridge is started as a process of its own. */
interface ProcessOptions {
  readonly uid?: number;
  /** Shell commands that run before the bridge, in its process. */
  readonly shell?: string;
}

/**
 * Node calls no end of a test after one that threw: the file must not wait for these, and none may
 * outlive it.
 */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * Starts a bridge as a process of its own beside a lab's ARI and bot. Resolves when it has reached
 * ARI, with its output until then. Killed at the end of the test.
 */
export async function startProcess(
  t: TestContext,
  lab: Lab,
  environment: Readonly<Record<string, string>> = {},
  { shell = ':', ...identity }: ProcessOptions = {},
): Promise<{ child: ChildProcess; output: string }> {
  const child = spawn('bash', ['-c', `${shell}; exec "$0" "$1"`, process.execPath, MAIN], {
    env: {
      ...process.env,
      ARI_URL: `http://127.0.0.1:${lab.ari.port}`,
      ARI_USERNAME: 'pipecat',
      ARI_PASSWORD: 'right',
      PIPECAT_URL: lab.bot.url,
      HTTP_PORT: '0',
      MEDIA_WORKERS: '1',
      RTP_PORT_MIN: '60900',
      RTP_PORT_MAX: '60919',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...identity,
  });
  const kill = () => child.kill('SIGKILL');
  t.after(kill);
  children.add(child);
  child.unref();
  (child.stdout as Socket).unref();
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  // One ARI app has one bridge.
  await lab.stop();
  await until(() => output.includes('ARI connected'), 'the process is there');
  return { child, output };
}
