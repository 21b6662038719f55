import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BRIDGE,
  beliefs,
  CALLER,
  channel,
  holdings,
  LEG,
  MEDIA,
  MEDIA_CHANNEL,
  TALKING,
  told,
} from '../../test/reconciliation-table.ts';
import type { AriChannel } from '../ari/model.ts';
import type { CallRecord } from '../records/record.ts';
import type { Beliefs, BelievedCall } from './beliefs.ts';
import type { Holdings } from './holdings.ts';
import { reconcile } from './reconciliation.ts';

/** The record of a caller who was handed over to a second leg. */
const HANDED_OVER = {
  channelId: '7.1',
  state: 'active',
  transfer: { to: '+4930999000', mode: 'blind', status: 'completed' },
} as unknown as CallRecord;

/** What a lost event leaves behind, and what is to be done about it. */
const LOST: readonly {
  readonly what: string;
  readonly call?: Partial<BelievedCall>;
  readonly beliefs?: Partial<Beliefs>;
  readonly channels: readonly AriChannel[];
  readonly holdings?: Partial<Holdings>;
  readonly actions: readonly string[];
}[] = [
  { what: 'nothing', channels: [CALLER, MEDIA_CHANNEL], actions: [] },
  { what: 'the hang-up of a caller', channels: [MEDIA_CHANNEL], actions: ['caller-gone 7.1'] },
  {
    what: 'all events, for Asterisk has started anew',
    channels: [],
    holdings: { startedAt: 'tuesday' },
    actions: ['caller-gone 7.1 with Asterisk'],
  },
  {
    what: 'the start of Asterisk, which does not say when',
    channels: [],
    holdings: { startedAt: '' },
    actions: ['caller-gone 7.1'],
  },
  {
    what: 'the StasisEnd of a caller who was redirected',
    channels: [channel('7.1', { app: 'Playback' }), MEDIA_CHANNEL],
    actions: ['caller-left 7.1'],
  },
  {
    what: 'the StasisEnd and StasisStart of a caller who left and came again',
    channels: [CALLER, MEDIA_CHANNEL],
    holdings: { bridges: [{ id: BRIDGE, channels: [MEDIA] }] },
    actions: ['rejoin 7.1'],
  },
  {
    what: 'the StasisStart of the media',
    call: { media: 'making' },
    channels: [CALLER, MEDIA_CHANNEL],
    actions: ['media-entered 7.1'],
  },
  { what: 'the end of the media', channels: [CALLER], actions: ['media-gone 7.1'] },
  {
    what: 'the end of media that were let go',
    call: { media: 'gone', isInTransfer: false },
    channels: [CALLER],
    actions: [],
  },
  {
    what: 'the StasisStart of a channel of ours',
    call: { dial: 'making', isInbound: false, isJoined: false },
    channels: [channel('7.1', { state: 'Down' }), MEDIA_CHANNEL],
    actions: ['dial-entered 7.1'],
  },
  {
    what: 'the ringing of a phone that we call',
    call: { dial: 'ringing', isInbound: false, isJoined: false },
    channels: [channel('7.1', { state: 'Ringing' }), MEDIA_CHANNEL],
    actions: ['dial-rings 7.1'],
  },
  {
    what: 'the answer of a phone that we call',
    call: { dial: 'ringing', isInbound: false, isJoined: false },
    channels: [CALLER, MEDIA_CHANNEL],
    actions: ['dial-answered 7.1'],
  },
  {
    what: 'StasisStart, ringing and answer of a phone that we call',
    call: { dial: 'making', isInbound: false, isJoined: false },
    channels: [CALLER, MEDIA_CHANNEL],
    actions: ['dial-entered 7.1', 'dial-answered 7.1'],
  },
  {
    what: 'the return of a caller from a REFER',
    call: { away: LEG, isInTransfer: true },
    channels: [channel('7.1', { data: `pipecat,refer-result,FAILURE,486,${LEG}` }), MEDIA_CHANNEL],
    actions: [`caller-returned 7.1 FAILURE 486 ${LEG}`],
  },
  {
    what: 'the return from a REFER, by a dialplan of version 0.1',
    call: { away: LEG, isInTransfer: true },
    channels: [channel('7.1', { data: 'pipecat,refer-result,FAILURE,486' }), MEDIA_CHANNEL],
    actions: ['caller-returned 7.1 FAILURE 486'],
  },
  {
    what: 'nothing, of a caller who has yet to leave for their second REFER',
    call: { away: 'the second', isInTransfer: true },
    channels: [channel('7.1', { data: `pipecat,refer-result,FAILURE,486,${LEG}` }), MEDIA_CHANNEL],
    actions: [],
  },
  {
    what: 'the end of a caller who is away',
    call: { away: LEG, isInTransfer: true },
    channels: [MEDIA_CHANNEL],
    actions: ['caller-gone 7.1'],
  },
  {
    what: 'the end of a caller who hung up while they were away, whose channel Asterisk keeps for the REFER',
    call: { away: LEG, isInTransfer: true },
    channels: [channel('7.1', { app: 'Hangup', exten: 'h' }), MEDIA_CHANNEL],
    actions: ['caller-gone 7.1'],
  },
  {
    what: 'nothing, of a caller who is away',
    call: { away: LEG, isInTransfer: true },
    channels: [channel('7.1', { app: 'Transfer' }), MEDIA_CHANNEL],
    actions: [],
  },
  {
    what: 'the end of a second leg',
    call: { leg: LEG, media: 'gone' },
    channels: [CALLER],
    actions: [`leg-gone 7.1 ${LEG}`],
  },
  {
    what: 'the answer of a second leg',
    call: { leg: LEG, isInTransfer: true },
    channels: [CALLER, MEDIA_CHANNEL, channel(LEG)],
    actions: [`leg-answered 7.1 ${LEG}`],
  },
  {
    what: 'the StasisStart of a second leg',
    call: { leg: LEG, isInTransfer: true },
    channels: [CALLER, MEDIA_CHANNEL, channel(LEG, { state: 'Down' })],
    actions: [`leg-entered 7.1 ${LEG}`],
  },
  { what: 'everything, of a call that is ending', call: { isEnding: true }, channels: [], actions: [] },
  {
    what: 'the StasisStart of a caller',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [channel('8.1', { state: 'Ring', data: 'pipecat,a,b' })],
    holdings: { bridges: [] },
    actions: ['offer 8.1 a b'],
  },
  {
    what: 'the answer of a call that somebody else has placed',
    beliefs: {
      calls: [],
      dials: [{ channelId: '8.1', isInStasis: false, isRinging: true, isForgotten: false }],
      callObjects: new Set(),
    },
    channels: [channel('8.1', { data: 'pipecat,order' })],
    holdings: { bridges: [] },
    actions: ['offer 8.1 order'],
  },
  {
    what: 'the end of a call that somebody else has placed',
    beliefs: {
      calls: [],
      dials: [{ channelId: '8.1', isInStasis: false, isRinging: true, isForgotten: false }],
    },
    channels: [],
    holdings: { bridges: [] },
    actions: ['other-dial-gone 8.1'],
  },
  {
    what: 'a hang-up that Asterisk has not carried out',
    beliefs: {
      calls: [],
      pendingReleases: new Map([['8.1', { kind: 'hang-up', isDone: true, seen: 3 }]]),
      callObjects: new Set(),
    },
    channels: [channel('8.1')],
    holdings: { bridges: [] },
    actions: ['repeat-release 8.1'],
  },
  {
    what: 'a hang-up that failed, of a callee',
    beliefs: {
      calls: [],
      pendingReleases: new Map([['8.1', { kind: 'hang-up', isDone: false, seen: 0 }]]),
      callObjects: new Set(),
    },
    channels: [channel('8.1', { app: 'AppDial2' })],
    holdings: { bridges: [] },
    actions: ['repeat-release 8.1'],
  },
  {
    what: 'the way to the fallback of a caller who was given back a moment ago',
    beliefs: {
      calls: [],
      pendingReleases: new Map([['8.1', { kind: 'give-back', isDone: true, seen: 0 }]]),
      callObjects: new Set(),
    },
    channels: [channel('8.1', { state: 'Ring' })],
    holdings: { bridges: [] },
    actions: ['count-release 8.1'],
  },
  {
    what: 'a caller in the fallback',
    beliefs: {
      calls: [],
      pendingReleases: new Map([['8.1', { kind: 'give-back', isDone: true, seen: 0 }]]),
      callObjects: new Set(),
    },
    channels: [channel('8.1', { app: 'Playback' })],
    holdings: { bridges: [] },
    actions: ['forget-release 8.1'],
  },
  {
    what: 'the end of what belonged to a call',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [MEDIA_CHANNEL, channel(LEG)],
    actions: [`hang-up ${MEDIA}`, `hang-up ${LEG}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'nothing of two who talk since a process before',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [CALLER, channel(LEG)],
    actions: [`adopt-talk 7.1 ${LEG} ${BRIDGE}`],
  },
  {
    what: 'the place of a second leg that has just answered a process before',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [CALLER, channel(LEG)],
    holdings: { bridges: [{ id: BRIDGE, channels: ['7.1'] }] },
    actions: [`adopt-talk 7.1 ${LEG} ${BRIDGE}`],
  },
  {
    what: 'the end of a second leg that rang when its process died',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [CALLER, channel(LEG, { state: 'Ringing' })],
    actions: ['offer 7.1', `hang-up ${LEG}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'the end of a second leg whose caller has the bot',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [CALLER, channel(LEG), MEDIA_CHANNEL],
    holdings: { bridges: [{ id: BRIDGE, channels: ['7.1', LEG, MEDIA] }] },
    actions: ['offer 7.1', `hang-up ${LEG}`, `hang-up ${MEDIA}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'the end of a second leg whose caller has hung up',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [channel('7.1', { exten: 'h' }), channel(LEG)],
    actions: ['offer 7.1', `hang-up ${LEG}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'the end of a second leg whose caller is gone',
    beliefs: { calls: [], callObjects: new Set() },
    channels: [channel(LEG)],
    actions: [`hang-up ${LEG}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'the end of a second leg that talked when its process died',
    beliefs: { calls: [], callObjects: new Set(), adoptable: [HANDED_OVER] },
    channels: [CALLER],
    actions: ['end-talk 7.1', `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'nothing, of a caller who was handed over once and has got a bot since',
    beliefs: { calls: [], callObjects: new Set(), adoptable: [HANDED_OVER] },
    channels: [CALLER, MEDIA_CHANNEL],
    actions: ['offer 7.1', `hang-up ${MEDIA}`, `destroy-bridge ${BRIDGE}`],
  },
  {
    what: 'all events of a phone that somebody else calls',
    channels: [
      CALLER,
      MEDIA_CHANNEL,
      channel('8.1', { state: 'Ringing', app: 'AppDial2' }),
      channel('8.2', { state: 'Down', app: '' }),
    ],
    actions: ['other-dial-found 8.1', 'other-dial-found 8.2'],
  },
  {
    what: 'nothing, of callers whom the dialplan has, and phones that a bridge of before called',
    channels: [
      CALLER,
      MEDIA_CHANNEL,
      channel('8.1', { state: 'Ring', app: 'Playback' }),
      channel('8.2', { state: 'Ringing', app: 'AppDial2', exten: '+4930111' }),
      channel('8.3', { app: 'AppDial2' }),
      channel('pc-8.4', { state: 'Ringing', app: 'AppDial2' }),
    ],
    actions: [],
  },
  {
    what: 'a channel that Asterisk cannot show',
    channels: [CALLER, MEDIA_CHANNEL],
    holdings: { unreadable: ['8.1'] },
    actions: ['hang-up 8.1'],
  },
];

for (const { what, call, beliefs: known, channels, holdings: held, actions } of LOST) {
  test(`lost: ${what}`, () => {
    const found = reconcile(
      beliefs({ calls: [{ ...TALKING, ...call }], ...known }),
      holdings(channels, held),
    );
    assert.deepEqual(found.map(told), actions);
  });
}

test('calls of the process before: taken up, ringing, alive already, or dead', () => {
  const record = (channelId: string, state: CallRecord['state']) => ({ channelId, state }) as CallRecord;
  const adoptable = [
    record('waits', 'active'),
    record('rings', 'ringing'),
    record('lives', 'active'),
    record('gone', 'active'),
    record('elsewhere', 'active'),
    record('hung-up', 'active'),
  ];
  const channels = [
    channel('waits'),
    channel('rings', { state: 'Ringing', app: 'AppDial2' }),
    channel('lives'),
    channel('elsewhere', { app: 'Playback' }),
    {
      ...channel('hung-up'),
      dialplan: { context: 'transfer', exten: 'h', app_name: 'Hangup', app_data: '' },
    },
  ];
  const known = beliefs({ adoptable, owned: new Set(['lives']), callObjects: new Set() });
  const found = reconcile(known, holdings(channels, { bridges: [] }));
  const types = found.map((action) => `${action.type} ${'record' in action ? action.record.channelId : ''}`);
  assert.deepEqual(types, [
    'offer ',
    'adoptable-rings ',
    'adoptable-lives lives',
    'adoptable-died gone',
    'adoptable-died elsewhere',
    'adoptable-died hung-up',
  ]);
});
