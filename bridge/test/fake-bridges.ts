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
