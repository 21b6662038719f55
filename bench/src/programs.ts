import type { Phone } from './ari.ts';
import { Generator, type Mode } from './generator.ts';
import { LOAD_CPUS, type Load, subjectCpus } from './options.ts';
import { argumentsOf, type Child, startPinned } from './process.ts';

/** Ports, all on loopback. */
export const PORTS = { ari: 21_088, bot: 21_080, http: 21_090, phones: 21_100, rtp: 40_000 } as const;
/** They differ in the address: as with Asterisk, no two calls have the same address and port. */
const CALLS_PER_SOCKET = 16;

/** Where a call's phone takes its RTP. */
export const phoneOf = (call: number): Phone => ({
  address: `127.0.1.${1 + (call % CALLS_PER_SOCKET)}`,
  port: PORTS.phones + 2 * Math.floor(call / CALLS_PER_SOCKET),
});

/** Each has a core and a share of the calls. */
export function startRelays(load: Load, cores: number, faults: readonly string[]): Child[] {
  const cpus = subjectCpus(load, cores).split(',');
  const each = Math.ceil(load.calls / load.workers);
  return Array.from({ length: load.workers }, (_, index) => {
    const first = index * each;
    return startPinned(cpus[index % cpus.length] as string, [
      process.env.BENCH_RELAY ?? 'relay',
      ...argumentsOf({
        first,
        calls: Math.min(each, load.calls - first),
        'calls-per-socket': CALLS_PER_SOCKET,
        'bot-port': PORTS.bot,
        'phone-address': phoneOf(0).address,
        'phone-port': PORTS.phones,
        'rtp-port': PORTS.rtp,
      }),
      ...faults,
    ]);
  });
}

/** The generator of a run. */
export function startGenerator(calls: number, mode: Mode): Promise<Generator> {
  return Generator.start({
    cpus: LOAD_CPUS,
    calls,
    mode,
    callsPerSocket: CALLS_PER_SOCKET,
    botPort: PORTS.bot,
    phoneAddress: phoneOf(0).address,
    phonePort: PORTS.phones,
  });
}
