import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EVENT_TYPES,
  parseApplicationChannels,
  parseBridges,
  parseChannel,
  parseEvent,
  parseMediaAddress,
} from './model.ts';

/** As a running Asterisk 22.10.1 sent it, its numbers changed. */
const CHANNEL = {
  id: '1795345555.0',
  name: 'PJSIP/pb_fintech-00000000',
  state: 'Ring',
  protocol_id: 'ea48b352ab@127.0.0.2',
  caller: { name: 'Caller', number: '919876543210' },
  connected: { name: '', number: '' },
  accountcode: '',
  dialplan: {
    context: 'from-provider',
    exten: '+911234567',
    priority: 18,
    app_name: 'Stasis',
    app_data: 'pipecat',
  },
  creationtime: '2026-11-22T11:05:55.449+0000',
  language: 'en',
  channelvars: { X_CALL_ID: '', INBOUND_DID: '+911234567' },
};
const ENVELOPE = {
  timestamp: '2026-11-22T11:05:55.452+0000',
  asterisk_id: '02:fc:00:00:00:01',
  application: 'pipecat',
};

function event(type: string, fields: object) {
  return parseEvent(JSON.stringify({ type, ...ENVELOPE, ...fields }));
}

test('a caller’s StasisStart is read', () => {
  const start = event('StasisStart', { args: ['X', 'Y'], channel: CHANNEL });
  assert.ok(start?.type === 'StasisStart');
  assert.deepEqual(start.args, ['X', 'Y']);
  assert.equal(start.channel.caller.number, '919876543210');
  assert.equal(start.channel.dialplan.exten, '+911234567');
  assert.deepEqual(start.channel.channelvars, { X_CALL_ID: '', INBOUND_DID: '+911234567' });
});

test('hang-ups are read with their causes, and a soft one as such', () => {
  const soft = event('ChannelHangupRequest', { channel: CHANNEL, cause: 32, soft: true });
  assert.ok(soft?.type === 'ChannelHangupRequest' && soft.soft);
  const bare = event('ChannelHangupRequest', { channel: CHANNEL });
  assert.ok(bare?.type === 'ChannelHangupRequest' && !bare.soft && bare.cause === undefined);
  const fields = { channel: CHANNEL, cause: 17, cause_txt: 'User busy', tech_cause: 486 };
  const destroyed = event('ChannelDestroyed', fields);
  assert.ok(destroyed?.type === 'ChannelDestroyed');
  assert.deepEqual([destroyed.cause, destroyed.tech_cause], [17, 486]);
});

test('a dial is read with the number that was dialled', () => {
  const fields = { dialstatus: '', forward: '', dialstring: '123@pb_fintech', peer: CHANNEL };
  const dial = event('Dial', fields);
  assert.ok(dial?.type === 'Dial');
  assert.deepEqual([dial.dialstring, dial.peer.id], ['123@pb_fintech', CHANNEL.id]);
});

test('events that the bridge does not act on are passed over', () => {
  for (const type of ['ChannelVarset', 'ChannelDialplan', 'FromTheFuture']) {
    assert.equal(event(type, { channel: CHANNEL }), undefined);
    assert.equal(EVENT_TYPES.includes(type), false);
  }
});

test('what is no event at all is said to be none', () => {
  for (const text of ['', 'x', 'null', '[]', '{}', '{"type":7}', '{"type":"StasisStart"}']) {
    assert.throws(() => parseEvent(text), text);
  }
});

test('a channel needs no more than an id', () => {
  const channel = parseChannel({ id: 'x' });
  assert.deepEqual([channel.name, channel.dialplan.exten, channel.channelvars], ['', '', undefined]);
});

test('the RTP address of a media channel is in its reply, or it is of no use', () => {
  const reply = (port: unknown) => ({
    ...CHANNEL,
    channelvars: { UNICASTRTP_LOCAL_ADDRESS: '127.0.0.1', UNICASTRTP_LOCAL_PORT: port },
  });
  assert.deepEqual(parseMediaAddress(reply('10514')), { address: '127.0.0.1', port: 10_514 });
  for (const port of ['0', '65536', 'x', '', undefined]) assert.throws(() => parseMediaAddress(reply(port)));
  assert.throws(() => parseMediaAddress(CHANNEL));
});

test('bridges and the channels of an app are read as ids', () => {
  assert.deepEqual(
    parseBridges([
      { id: 'a', bridge_type: 'mixing' },
      { id: 'b', channels: ['c'] },
    ]),
    [
      { id: 'a', channels: [] },
      { id: 'b', channels: ['c'] },
    ],
  );
  const app = { name: 'pipecat', channel_ids: ['c'], bridge_ids: [], endpoint_ids: [] };
  assert.deepEqual(parseApplicationChannels(app), ['c']);
  assert.throws(() => parseApplicationChannels({}));
});
