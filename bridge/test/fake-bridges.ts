import { type AriRequest, NO_CONTENT, type Reply, refused } from './fake-ari-request.ts';
import type { FakeChannel } from './fake-channel.ts';

/** What the fake Asterisk does with a request on its mixing bridges. */
export function onBridges(
  bridges: Map<string, Set<string>>,
  channels: ReadonlyMap<string, FakeChannel>,
  { method, query }: AriRequest,
  id: string,
  action: string,
): Reply {
  if (id === '' && method === 'GET') {
    const body = [...bridges].map(([bridge, channels]) => ({ id: bridge, channels: [...channels] }));
    return { status: 200, body };
  }
  if (id === '') {
    const bridgeId = query.get('bridgeId') ?? '';
    if (bridges.has(bridgeId)) return refused(409, 'Bridge exists');
    bridges.set(bridgeId, new Set());
    return { status: 200, body: { id: bridgeId } };
  }
  const members = bridges.get(id);
  if (members === undefined) return refused(404, 'Bridge not found');
  if (method === 'DELETE') {
    bridges.delete(id);
    return NO_CONTENT;
  }
  const channel = channels.get(query.get('channel') ?? '');
  if (action === 'removeChannel') {
    return members.delete(channel?.id ?? '') ? NO_CONTENT : refused(422, 'Channel not in this bridge');
  }
  if (action !== 'addChannel') return refused(404, 'Resource not found');
  if (channel === undefined) return refused(400, 'Channel not found');
  if (!channel.inStasis) return refused(422, 'Channel not in Stasis application');
  members.add(channel.id);
  return NO_CONTENT;
}

/**
 * What the fake Asterisk does with a request on its app. The app exists once a client has
 * connected.
 */
export function onApplication(
  ari: { readonly channels: ReadonlyMap<string, FakeChannel>; filter: readonly string[] | undefined },
  isThere: boolean,
  { method, query, body }: AriRequest,
  action: string,
): Reply {
  if (!isThere) return refused(404, 'Application does not exist');
  if (action === 'eventFilter') {
    const { allowed } = body as { allowed: { type?: string }[] };
    if (allowed.some(({ type }) => type === undefined)) return refused(400, 'Bad type');
    ari.filter = [...allowed.map(({ type }) => type ?? ''), 'ApplicationReplaced'];
  }
  if (action === 'subscription' && method === 'POST') {
    const channel = ari.channels.get((query.get('eventSource') ?? '').replace('channel:', ''));
    if (channel === undefined) return refused(422, 'Event source does not exist');
    channel.subscribed = true;
  }
  const held = [...ari.channels.values()].filter(({ inStasis, subscribed }) => inStasis || subscribed);
  return { status: 200, body: { name: 'pipecat', channel_ids: held.map(({ id }) => id), bridge_ids: [] } };
}
