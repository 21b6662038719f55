/** The sockets of the host, as the kernel lists them. */
import { readFile } from 'node:fs/promises';

/** TCP states of `include/net/tcp_states.h`. */
const STATES = ['', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT1', 'FIN_WAIT2', 'TIME_WAIT', 'CLOSE'];
const MORE_STATES = ['CLOSE_WAIT', 'LAST_ACK', 'LISTEN', 'CLOSING'];
const LINE = /^ *\d+: ([0-9A-F]{8}:[0-9A-F]{4}) ([0-9A-F]{8}:[0-9A-F]{4}) ([0-9A-F]{2})(?: +\S+){5} +(\d+)/gm;

/** Protocol, state and both ends of each IPv4 socket, by its inode, without ephemeral ports. */
export async function socketsByInode(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const protocol of ['tcp', 'udp']) {
    const table = await readFile(`/proc/net/${protocol}`, 'utf8');
    for (const [, local = '', remote = '', state = '', inode = ''] of table.matchAll(LINE))
      found.set(inode, `${protocol} ${stateName(state)} ${endOf(local)} ${endOf(remote)}`);
  }
  return found;
}

function stateName(code: string): string {
  return [...STATES, ...MORE_STATES][Number.parseInt(code, 16)] ?? code;
}

const EPHEMERAL_PORT_MIN = 32_768;

function endOf(text: string): string {
  const [address = '', port = ''] = text.split(':');
  const bytes = address.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
  const number = Number.parseInt(port, 16);
  return `${bytes.reverse().join('.')}:${number >= EPHEMERAL_PORT_MIN ? '*' : number}`;
}
