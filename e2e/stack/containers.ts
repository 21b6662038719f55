/**
 * How each container of the tests is run: the lab's images, hardened as in the lab, with a label
 * for later removal.
 */
import { readdir, readFile } from 'node:fs/promises';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';
import { LOCALHOST, type Ports, PROVIDER_PORT, WIDE_PHONE, WIDEBAND } from './ports.ts';

// The reaper's image may be out of reach; we remove what we start (see removeOrphans).
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';

/** The label of everything that the tests start. */
const LABEL = 'pipecat-bridge.e2e';
const PROVIDERS_VOLUME = 'pipecat-bridge-e2e-providers';
const RECORDS_VOLUME = 'pipecat-bridge-e2e-records';
/** Where the bridge's records are. */
export const RECORDS_PATH = '/var/lib/pipecat-bridge/records';
/** Where the providers' files are, in all containers that have them. */
export const PROVIDERS_PATH = '/etc/asterisk-providers';
const RECORDINGS_VOLUME = 'pipecat-bridge-e2e-recordings';
/** Where the bridge's recordings are. */
export const RECORDINGS_PATH = '/var/lib/pipecat-bridge/recordings';
const VERSION = process.env.VERSION || 'dev';
const START_LIMIT_MS = 60_000;

/** Secrets of the tests' stack; it lives for minutes, on loopback. */
export const SECRETS = {
  ariUsername: 'pipecat',
  ariPassword: 'e2e-ari-password',
  apiToken: 'e2e-api-token-0123456789',
  callbackSecret: 'e2e-callback-secret',
  acmePassword: 'e2e-acme-password',
};

/** Environment that a test sets or overrides. */
export type Environment = Readonly<Record<string, string>>;

class Hardened extends GenericContainer {
  constructor(image: string, writable = false) {
    super(`pipecat-bridge/${image}:${VERSION}`);
    this.hostConfig.ReadonlyRootfs = !writable;
    this.hostConfig.Init = true;
    this.withNetworkMode('host')
      .withDroppedCapabilities('ALL')
      .withLabels({ [LABEL]: 'yes' });
    this.withDefaultLogDriver().withStartupTimeout(START_LIMIT_MS);
  }
}

class Restarting extends Hardened {
  constructor(image: string, writable: boolean) {
    super(image, writable);
    this.hostConfig.RestartPolicy = { Name: 'unless-stopped' };
  }
}

/** Asterisk, up to its being healthy. Needs the providers' volume, which `startPhones` fills. */
export function startAsterisk(ports: Ports, environment: Environment = {}): Promise<StartedTestContainer> {
  return new Hardened('asterisk')
    .withSecurityOpt('no-new-privileges:true')
    .withTmpFs({ '/run/asterisk': 'uid=5060,gid=5060,mode=0700', '/tmp': '' })
    .withBindMounts([{ source: PROVIDERS_VOLUME, target: PROVIDERS_PATH, mode: 'ro' }])
    .withEnvironment({
      ARI_USERNAME: SECRETS.ariUsername,
      ARI_PASSWORD: SECRETS.ariPassword,
      ARI_PORT: `${ports.ari}`,
      SIP_ADDRESS: LOCALHOST,
      SIP_PORT: `${ports.sip}`,
      ASTERISK_RTP_PORT_MIN: `${ports.asteriskRtpMin}`,
      ASTERISK_RTP_PORT_MAX: `${ports.asteriskRtpMax}`,
      ACME_PASSWORD: SECRETS.acmePassword,
      ...environment,
    })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
}

/**
 * A second Asterisk, with configuration files of its own: a telephone for codecs that SIPp does not
 * have.
 */
export function startWidePhone(
  files: Readonly<Record<string, string | Buffer>>,
): Promise<StartedTestContainer> {
  const contents = Object.entries(files).map(([name, content]) => ({
    content,
    target: `${PROVIDERS_PATH}/${name}`,
    mode: 0o644,
  }));
  return new Hardened('asterisk', true)
    .withSecurityOpt('no-new-privileges:true')
    .withTmpFs({ '/run/asterisk': 'uid=5060,gid=5060,mode=0700', '/tmp': '' })
    .withCopyContentToContainer(contents)
    .withEnvironment({
      ARI_USERNAME: SECRETS.ariUsername,
      ARI_PASSWORD: SECRETS.ariPassword,
      // Nobody listens: calls go to the fallback, which is the telephone.
      ARI_APP: 'nobody',
      FALLBACK: 'phone,talk',
      ARI_PORT: `${WIDE_PHONE.ari}`,
      SIP_ADDRESS: WIDEBAND,
      SIP_PORT: `${PROVIDER_PORT}`,
      ASTERISK_RTP_PORT_MIN: `${WIDE_PHONE.asteriskRtpMin}`,
      ASTERISK_RTP_PORT_MAX: `${WIDE_PHONE.asteriskRtpMax}`,
    })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
}

/**
 * An Asterisk alone, with these providers' files. As in the lab Docker starts it anew when it ends.
 * Its `/etc/hosts` can be written by root.
 */
export function startRestartingAsterisk(
  ports: Ports,
  files: Readonly<Record<string, string>>,
  environment: Environment = {},
): Promise<StartedTestContainer> {
  return new Restarting('asterisk', true)
    .withSecurityOpt('no-new-privileges:true')
    .withTmpFs({ '/run/asterisk': 'uid=5060,gid=5060,mode=0700', '/tmp': '' })
    .withCopyContentToContainer(
      Object.entries(files).map(([name, content]) => ({
        content,
        target: `${PROVIDERS_PATH}/${name}`,
        mode: 0o644,
      })),
    )
    .withEnvironment({
      ARI_USERNAME: SECRETS.ariUsername,
      ARI_PASSWORD: SECRETS.ariPassword,
      ARI_PORT: `${ports.ari}`,
      SIP_ADDRESS: LOCALHOST,
      SIP_PORT: `${ports.sip}`,
      ACME_PASSWORD: SECRETS.acmePassword,
      ...environment,
    })
    .withWaitStrategy(Wait.forLogMessage(/Asterisk (Ready|does not start)/))
    .start();
}

/** What Docker says of a container: how it is, and how often it was started anew. */
export async function stateOf(
  container: StartedTestContainer,
): Promise<{ readonly health: string; readonly restarts: number }> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const { State, RestartCount } = await dockerode.getContainer(container.getId()).inspect();
  return { health: State.Health?.Status ?? '', restarts: RestartCount };
}

/** The bridge, up to its being healthy (alive; it may still be waiting for Asterisk). */
export function startBridge(ports: Ports, environment: Environment = {}): Promise<StartedTestContainer> {
  return new Hardened('bridge')
    .withSecurityOpt('no-new-privileges:true')
    .withBindMounts([
      { source: PROVIDERS_VOLUME, target: PROVIDERS_PATH, mode: 'ro' },
      { source: RECORDINGS_VOLUME, target: RECORDINGS_PATH, mode: 'rw' },
      { source: RECORDS_VOLUME, target: RECORDS_PATH, mode: 'rw' },
    ])
    .withEnvironment({
      ARI_URL: `http://${LOCALHOST}:${ports.ari}`,
      ARI_USERNAME: SECRETS.ariUsername,
      ARI_PASSWORD: SECRETS.ariPassword,
      PIPECAT_URL: `ws://${LOCALHOST}:${ports.mock}/ws/asterisk`,
      ASTERISK_RTP_PORT_MIN: `${ports.asteriskRtpMin}`,
      ASTERISK_RTP_PORT_MAX: `${ports.asteriskRtpMax}`,
      RTP_PORT_MIN: `${ports.rtpMin}`,
      RTP_PORT_MAX: `${ports.rtpMax}`,
      HTTP_PORT: `${ports.http}`,
      API_TOKEN: SECRETS.apiToken,
      CALLBACK_SECRET: SECRETS.callbackSecret,
      PROVIDERS_DIR: PROVIDERS_PATH,
      RECORDS_DIR: RECORDS_PATH,
      RECORDS_STDOUT: 'full',
      LOG_LEVEL: 'debug',
      // A test that stops the bridge does not wait for its calls, unless it says so.
      STOP_DRAIN_S: '0',
      // The machine of the tests may be late by itself.
      OVERLOAD_LOOP_MS: '0',
      OVERLOAD_LATE_PERCENT: '0',
      ...environment,
    })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
}

/** Ends a container from one moment to the next, as a crash does. */
export async function killContainer(container: StartedTestContainer): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).kill();
}

/** Sends a signal to a container's process. */
export async function signalContainer(container: StartedTestContainer, signal: string): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).kill({ signal });
}

/** Resolves when a container's process has ended. */
export async function containerEnded(container: StartedTestContainer): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).wait();
}

/** Starts a container whose process has ended. It has the same files, and its log goes on. */
export async function startAgain(container: StartedTestContainer): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).start();
}

/** Freezes all processes of a container (like SIGSTOP) until {@link resumeContainer}. */
export async function pauseContainer(container: StartedTestContainer): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).pause();
}

/** Lets a paused container go on. */
export async function resumeContainer(container: StartedTestContainer): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  await dockerode.getContainer(container.getId()).unpause();
}

/** The mock bot, up to its being healthy. */
export function startMock(ports: Ports): Promise<StartedTestContainer> {
  return new Hardened('mock-pipecat')
    .withSecurityOpt('no-new-privileges:true')
    .withTmpFs({ '/tmp': '' })
    .withEnvironment({ MOCK_PORT: `${ports.mock}` })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
}

/** The container in which SIPp runs, and the volume with the provider files. */
export async function startPhones(): Promise<StartedTestContainer> {
  const folder = new URL('../providers/', import.meta.url);
  const files = (await readdir(folder)).filter((name) => /\.(env|conf)$/.test(name));
  const contents = files.map(async (name) => ({
    content: await readFile(new URL(name, folder), 'utf8'),
    target: `${PROVIDERS_PATH}/${name}`,
    mode: 0o644,
  }));
  // Docker copies files into writable containers only, even if they go to a volume.
  return new Hardened('sipp', true)
    .withAddedCapabilities('NET_RAW')
    .withTmpFs({ '/tmp': 'mode=1777' })
    .withBindMounts([{ source: PROVIDERS_VOLUME, target: PROVIDERS_PATH, mode: 'rw' }])
    .withCopyContentToContainer(await Promise.all(contents))
    .withEntrypoint(['sleep'])
    .withCommand(['infinity'])
    .start();
}

/**
 * A small disk in memory for the records, which a test can fill. Before the bridge starts. The
 * container keeps it: its content is gone when no container has it.
 */
export async function startRecordsDisk(megabytes: number): Promise<StartedTestContainer> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const options = { type: 'tmpfs', device: 'tmpfs', o: `size=${megabytes}m,mode=1777` };
  await dockerode.createVolume({ Name: RECORDS_VOLUME, Driver: 'local', DriverOpts: options });
  return new Hardened('sipp')
    .withBindMounts([{ source: RECORDS_VOLUME, target: RECORDS_PATH, mode: 'rw' }])
    .withEntrypoint(['sleep'])
    .withCommand(['infinity'])
    .start();
}

/** Removes every container and volume of the tests, also those that a crashed run left. */
export async function removeOrphans(): Promise<void> {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const containers = await dockerode.listContainers({ all: true, filters: { label: [LABEL] } });
  await Promise.all(containers.map(({ Id }) => dockerode.getContainer(Id).remove({ force: true, v: true })));
  // A volume that is not there is what we want.
  for (const volume of [PROVIDERS_VOLUME, RECORDINGS_VOLUME, RECORDS_VOLUME])
    await dockerode
      .getVolume(volume)
      .remove()
      .catch(() => undefined);
}
