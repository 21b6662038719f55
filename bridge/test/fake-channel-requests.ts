import type { FakeAri } from './fake-ari.ts';
import { type AriRequest, NO_CONTENT, type Reply, refused } from './fake-ari-request.ts';
import type { FakeChannel } from './fake-channel.ts';
import { FakeRtp } from './fake-rtp.ts';

/** What the fake Asterisk does with a request on its channels. */
export async function onChannels(
  ari: FakeAri,
  request: AriRequest,
  id: string,
  action: string,
): Promise<Reply> {
  const { method } = request;
  const all = () => [...ari.channels.values()].map((channel) => ari.show(channel));
  if (method === 'GET' && id === '') return { status: 200, body: all() };
  if (method === 'POST' && id === 'create') return create(ari, request);
  if (method === 'POST' && id === 'externalMedia') return await externalMedia(ari, request.query);
  const channel = ari.channels.get(id);
  if (channel === undefined) return refused(404, 'Channel not found');
  return onChannel(ari, request, channel, action);
}

/** ARI's create: the channel enters Stasis undialled. */
function create(ari: FakeAri, { query, body }: AriRequest): Reply {
  const id = query.get('channelId') ?? '';
  if (ari.channels.has(id)) return refused(409, 'Channel with given unique ID already exists');
  const [to = '', provider = ''] = (query.get('endpoint') ?? '').replace('PJSIP/', '').split('@');
  if (provider !== 'pb_fintech') return { status: 500, body: { error: 'Allocation failed' } };
  const { variables } = body as { variables: Record<string, string> };
  const from = variables['CONNECTEDLINE(num)'] ?? '';
  const args = (query.get('appArgs') ?? '').split(',');
  const channel = ari.add({ id, state: 'Down', isOriginated: true, args, variables, to, from });
  channel.subscribed = true;
  ari.apps.move(id, query.get('app') ?? '');
  const enter = () => {
    if (ari.channels.has(id)) ari.enterStasis(channel);
  };
  if (ari.startsBeforeReply) enter();
  else setImmediate(() => setImmediate(enter));
  return { status: 200, body: ari.show(channel) };
}

async function externalMedia(ari: FakeAri, query: URLSearchParams): Promise<Reply> {
  const id = query.get('channelId') ?? '';
  const externalHost = query.get('external_host') ?? '';
  if (ari.channels.has(id)) return refused(409, 'Channel with given unique ID already exists');
  // As Asterisk 22.10: the id may not be the beginning of another's.
  if ([...ari.channels.keys()].some((other) => other.startsWith(id)))
    return refused(500, 'An internal error prevented this request from being handled');
  const rtp = await FakeRtp.open(externalHost, query.get('format') ?? '');
  ari.bridgePorts.add(rtp.targetPort);
  const channel = ari.add({ id, name: `UnicastRTP/${externalHost}-0x7f00`, state: 'Up', rtp });
  channel.subscribed = true;
  Object.assign(channel.variables, {
    UNICASTRTP_LOCAL_ADDRESS: '127.0.0.1',
    UNICASTRTP_LOCAL_PORT: String(rtp.port),
  });
  // As Asterisk: Stasis() of an app without an events socket fails, and the channel ends.
  const enter = () => {
    if (!ari.apps.isActive(query.get('app') ?? '')) ari.hangUp(id);
    else if (ari.channels.has(id)) ari.enterStasis(channel);
  };
  if (ari.startsBeforeReply) enter();
  else setImmediate(() => setImmediate(enter));
  const shown = ari.show(channel) as Record<string, unknown>;
  return { status: 200, body: { ...shown, channelvars: channel.variables } };
}

function onChannel(ari: FakeAri, { method, query }: AriRequest, channel: FakeChannel, action: string): Reply {
  if (method === 'DELETE' && action === '') {
    ari.hangUp(channel.id, Number(query.get('reason_code')));
    return NO_CONTENT;
  }
  if (action === 'variable') {
    const name = query.get('variable') ?? '';
    if (method === 'GET') {
      const value = channel.variables[name];
      return value === undefined ? refused(404, 'variable not found') : { status: 200, body: { value } };
    }
    channel.variables[name] = query.get('value') ?? '';
    return NO_CONTENT;
  }
  if (action === 'rtp_statistics' && !ari.hasAudio) return refused(404, 'RTP info not found');
  if (action === 'rtp_statistics') return { status: 200, body: channel.statistics ?? {} };
  if (method === 'GET') return { status: 200, body: ari.show(channel) };
  if (!channel.inStasis) return refused(409, 'Channel not in Stasis application');
  if (action === 'dial') dial(ari, channel, query);
  if (method === 'DELETE') channel.done.push(`no ${action}`);
  else channel.done.push(action === 'dtmf' ? `dtmf ${query.get('dtmf')}` : action);
  if (action === 'answer') channel.state = 'Up';
  if (action === 'continue') continueInDialplan(ari, channel, query);
  if (action === 'move') moveToApp(ari, channel, query);
  return NO_CONTENT;
}

/** ARI's dial of a created channel: it rings when the test says so. */
function dial(ari: FakeAri, channel: FakeChannel, query: URLSearchParams): void {
  ari.tellDial(channel, '');
  channel.ringSeconds = Number(query.get('timeout'));
}

function continueInDialplan(ari: FakeAri, channel: FakeChannel, query: URLSearchParams): void {
  channel.inStasis = false;
  channel.continued = true;
  const context = query.get('context');
  if (context !== null) channel.sentTo = `${context},${query.get('extension')}`;
  for (const members of ari.bridges.values()) members.delete(channel.id);
  ari.emit('StasisEnd', { channel: ari.show(channel) });
}

/**
 * As Asterisk 22.10: the channel stays in its mixing bridge. The old app gets no further event of
 * it.
 */
function moveToApp(ari: FakeAri, channel: FakeChannel, query: URLSearchParams): void {
  ari.emit('StasisEnd', { channel: ari.show(channel) });
  ari.apps.move(channel.id, query.get('app') ?? '');
  const args = query.get('appArgs');
  ari.emit('StasisStart', { channel: ari.show(channel), args: args === null ? [] : args.split(',') });
}
