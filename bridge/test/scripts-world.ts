// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the shell's
/** The functions of scripts/up.sh in a stack of stand-ins for Docker. */
import { spawnSync } from 'node:child_process';

/** The repository. */
export const root = new URL('../../', import.meta.url);

/** What commands answer, by a text that is in them. */
export type World = Readonly<Record<string, string>>;

/**
 * A stack that runs as it was started, with one call. A command that has the text on the left does
 * what is on the right; `service` is the last word of it.
 */
const RUNNING: World = {
  'compose ps --quiet --status running': 'echo "id-of-$service"',
  '{{.Image}}': 'echo sha256:1',
  'image inspect': 'echo sha256:1',
  'com.docker.compose.config-hash': 'echo 1234',
  'config --hash': 'echo "$service 1234"',
  'cat /run/asterisk/etc/restart-digest': 'echo abcd',
  'cat /run/asterisk/etc/digest': 'echo 3333',
  'core show channels concise': "printf 'PJSIP/acme-1!from\\nUnicastRTP/1!\\n'",
  '/livez': `echo '{"status":"live","configuration":"1111","restart":"abcd"}'`,
  '/metrics': 'echo pipecat_bridge_calls_active 1',
};

/** Runs a script with the functions of up.sh; `world` overrides {@link RUNNING}. */
export function run(script: string, world: World = {}) {
  const answers = Object.entries({ ...RUNNING, ...world }).map(
    ([text, does]) => `[[ "$*" != *'${text}'* ]] || { ${does}; return; }`,
  );
  const command = `
    set -euo pipefail
    . <(sed '$d' scripts/up.sh | sed 's#^cd .*##')
    answer() {
      local service="\${@: -1}"
      ${answers.join('\n      ')}
    }
    exec 3>&2
    docker() { echo "docker $*" >&3; answer "$@"; }
    timeout() { shift; "$@"; }
    http_get() { answer "$3"; }
    digests=([asterisk]=abcd [bridge]=abcd)
    DRAIN_POLL_S=0
    ${script}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: root,
    encoding: 'utf8',
    input: '',
    env: { ...process.env, DRAIN: '', NOW: '', DRAIN_S: '', VERSION: '', ASTERISK_VERSION: '' },
  });
  const lines = stderr.split('\n');
  return {
    status,
    said: stdout + lines.filter((line) => !line.startsWith('docker ')).join('\n'),
    calls: lines.filter((line) => line.startsWith('docker ')),
  };
}
