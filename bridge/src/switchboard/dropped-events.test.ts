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
import { type AriChannel, type ChannelEvent, EVENT_TYPES } from '../ari/model.ts';
import type { Beliefs, BelievedCall } from './beliefs.ts';
import type { Holdings } from './holdings.ts';
import { reconcile } from './reconciliation.ts';

/** What Asterisk holds after an event that nobody heard, and what is to be done. */
interface Dropped {
  readonly channels: readonly AriChannel[];
  readonly holdings?: Partial<Holdings>;
  readonly actions: readonly string[];
}

/**
 * A call at one moment of its life. For each channel event that the bridge handles: what the loss
 * of the event leaves behind, or why nothing is left.
 */
interface Moment {
  readonly call?: Partial<BelievedCall>;
  readonly beliefs?: Partial<Beliefs>;
  readonly drops: Readonly<Record<ChannelEvent['type'], Dropped | string>>;
}

/** Asterisk shows neither holds nor keys: what is lost of them stays lost, and the call goes on. */
const NO_TRACE = {
  ChannelHold: 'Asterisk shows no holds',
  ChannelUnhold: 'Asterisk shows no holds',
  ChannelDtmfReceived: 'Asterisk shows no keys',
};

function finds(
  channels: readonly AriChannel[],
  actions: readonly string[],
  held?: Partial<Holdings>,
): Dropped {
  return { channels, actions, ...(held && { holdings: held }) };
}

/** The call's own channel has ended, however that was told. */
const GONE = finds([MEDIA_CHANNEL], ['caller-gone 7.1']);
const gone = { ChannelHangupRequest: GONE, ChannelDestroyed: GONE };
const RINGING = channel('7.1', { state: 'Ringing' });
const RETURNED = channel('7.1', { data: `pipecat,refer-result,FAILURE,486,${LEG}` });
const OUTBOUND = { isInbound: false, isJoined: false };
const together = [CALLER, MEDIA_CHANNEL];
const withLeg = (state: string) => [...together, channel(LEG, { state })];
const LEG_GONE = finds(together, [`leg-gone 7.1 ${LEG}`]);
const LEG_LEFT_ALONE = finds([MEDIA_CHANNEL, channel(LEG)], ['caller-gone 7.1']);

const NONE = { calls: [], callObjects: new Set<string>() };
const OTHER = { channelId: '8.1', isInStasis: false, isRinging: true, isForgotten: false };
const other = (fields: { state?: string; app?: string; data?: string } = {}) => channel('8.1', fields);
const OTHER_GONE = finds([], ['other-dial-gone 8.1'], { bridges: [] });
const alone = { bridges: [] };

const MOMENTS: Readonly<Record<string, Moment>> = {
  'a caller in the set-up of their call': {
    call: { media: 'making', isJoined: false },
    drops: {
      StasisStart: finds([channel('7.1', { state: 'Ring' }), MEDIA_CHANNEL], ['media-entered 7.1']),
      StasisEnd: finds(
        [channel('7.1', { app: 'Playback' }), MEDIA_CHANNEL],
        ['media-entered 7.1', 'caller-left 7.1'],
      ),
      ChannelStateChange: 'that they are answered our own request says',
      Dial: 'nobody dials them',
      ...gone,
      ...NO_TRACE,
    },
  },
  'a caller who talks to the bot': {
    drops: {
      StasisStart: finds(together, ['rejoin 7.1'], { bridges: [{ id: BRIDGE, channels: [MEDIA] }] }),
      StasisEnd: finds([channel('7.1', { app: 'Playback' }), MEDIA_CHANNEL], ['caller-left 7.1']),
      ChannelStateChange: 'an answered channel changes no more',
      Dial: 'nobody dials them',
      ...gone,
      ...NO_TRACE,
    },
  },
  'the media of a caller who talks to the bot': {
    drops: {
      StasisStart: 'they have entered',
      StasisEnd: finds([CALLER], ['media-gone 7.1']),
      ChannelStateChange: 'they are up from the beginning',
      ChannelHangupRequest: finds([CALLER], ['media-gone 7.1']),
      ChannelDestroyed: finds([CALLER], ['media-gone 7.1']),
      Dial: 'nobody dials them',
      ...NO_TRACE,
    },
  },
  'a second leg whose channel is made': {
    call: { leg: LEG, isInTransfer: true },
    drops: {
      StasisStart: finds(withLeg('Down'), [`leg-entered 7.1 ${LEG}`]),
      StasisEnd: LEG_GONE,
      ChannelStateChange: finds(withLeg('Ringing'), [`leg-entered 7.1 ${LEG}`]),
      ChannelHangupRequest: LEG_GONE,
      ChannelDestroyed: LEG_GONE,
      Dial: finds(withLeg('Ringing'), [`leg-entered 7.1 ${LEG}`]),
      ...NO_TRACE,
    },
  },
  'a second leg that rings': {
    call: { leg: LEG, isInTransfer: true },
    drops: {
      StasisStart: finds(withLeg('Ringing'), [`leg-entered 7.1 ${LEG}`]),
      StasisEnd: LEG_GONE,
      ChannelStateChange: finds(withLeg('Up'), [`leg-answered 7.1 ${LEG}`]),
      ChannelHangupRequest: LEG_GONE,
      ChannelDestroyed: LEG_GONE,
      Dial: finds(withLeg('Up'), [`leg-answered 7.1 ${LEG}`]),
      ...NO_TRACE,
    },
  },
  'a caller while a second leg rings': {
    call: { leg: LEG, isInTransfer: true },
    drops: {
      StasisStart: finds(withLeg('Ringing'), [`leg-entered 7.1 ${LEG}`]),
      StasisEnd: finds(
        [channel('7.1', { app: 'Playback' }), MEDIA_CHANNEL, channel(LEG, { state: 'Ringing' })],
        ['caller-left 7.1', `leg-entered 7.1 ${LEG}`],
      ),
      ChannelStateChange: 'an answered channel changes no more',
      ChannelHangupRequest: LEG_LEFT_ALONE,
      ChannelDestroyed: LEG_LEFT_ALONE,
      Dial: 'nobody dials them',
      ...NO_TRACE,
    },
  },
  'a caller who talks to a second leg': {
    call: { leg: LEG, media: 'gone' },
    drops: {
      StasisStart: finds([CALLER, channel(LEG)], ['rejoin 7.1', `leg-answered 7.1 ${LEG}`], {
        bridges: [{ id: BRIDGE, channels: [LEG] }],
      }),
      StasisEnd: finds(
        [channel('7.1', { app: 'Playback' }), channel(LEG)],
        ['caller-left 7.1', `leg-answered 7.1 ${LEG}`],
      ),
      ChannelStateChange: 'an answered channel changes no more',
      ChannelHangupRequest: finds([channel(LEG)], ['caller-gone 7.1']),
      ChannelDestroyed: finds([channel(LEG)], ['caller-gone 7.1']),
      Dial: 'nobody dials them',
      ...NO_TRACE,
    },
  },
  'a second leg that talks to the caller': {
    call: { leg: LEG, media: 'gone' },
    drops: {
      StasisStart: 'it has entered',
      StasisEnd: finds([CALLER], [`leg-gone 7.1 ${LEG}`]),
      ChannelStateChange: 'an answered channel changes no more',
      ChannelHangupRequest: finds([CALLER], [`leg-gone 7.1 ${LEG}`]),
      ChannelDestroyed: finds([CALLER], [`leg-gone 7.1 ${LEG}`]),
      Dial: 'it has been answered',
      ...NO_TRACE,
    },
  },
  'a caller who is away for a REFER': {
    call: { away: LEG, isInTransfer: true },
    drops: {
      StasisStart: finds([RETURNED, MEDIA_CHANNEL], [`caller-returned 7.1 FAILURE 486 ${LEG}`]),
      StasisEnd: finds([channel('7.1', { app: 'Transfer' }), MEDIA_CHANNEL], []),
      ChannelStateChange: 'an answered channel changes no more',
      Dial: 'nobody dials them',
      ...gone,
      ...NO_TRACE,
    },
  },
  'a phone of ours whose channel is made': {
    call: { ...OUTBOUND, dial: 'making' },
    drops: {
      StasisStart: finds([channel('7.1', { state: 'Down' }), MEDIA_CHANNEL], ['dial-entered 7.1']),
      StasisEnd: GONE,
      ChannelStateChange: finds([RINGING, MEDIA_CHANNEL], ['dial-entered 7.1', 'dial-rings 7.1']),
      Dial: finds([RINGING, MEDIA_CHANNEL], ['dial-entered 7.1', 'dial-rings 7.1']),
      ...gone,
      ...NO_TRACE,
    },
  },
  'a phone of ours that rings': {
    call: { ...OUTBOUND, dial: 'ringing' },
    drops: {
      StasisStart: finds([RINGING, MEDIA_CHANNEL], ['dial-rings 7.1']),
      StasisEnd: GONE,
      ChannelStateChange: finds(together, ['dial-answered 7.1']),
      Dial: finds(together, ['dial-answered 7.1']),
      ...gone,
      ...NO_TRACE,
    },
  },
  'a channel that somebody else makes in our app': {
    beliefs: { ...NONE },
    drops: {
      StasisStart: finds([other({ state: 'Down', data: 'pipecat,order' })], ['offer 8.1 order'], alone),
      StasisEnd: finds([], [], alone),
      ChannelStateChange: finds([other({ state: 'Ringing' })], ['offer 8.1'], alone),
      ChannelHangupRequest: finds([], [], alone),
      ChannelDestroyed: finds([], [], alone),
      Dial: finds([other({ state: 'Ringing' })], ['offer 8.1'], alone),
      ...NO_TRACE,
    },
  },
  'a channel of somebody else that waits in our app for its dial': {
    beliefs: { ...NONE, dials: [{ ...OTHER, isInStasis: true, isRinging: false }] },
    drops: {
      StasisStart: 'it has entered',
      StasisEnd: OTHER_GONE,
      ChannelStateChange: finds([other({ state: 'Ringing' })], ['other-dial-rings 8.1'], alone),
      ChannelHangupRequest: OTHER_GONE,
      ChannelDestroyed: OTHER_GONE,
      Dial: finds([other({ state: 'Ringing' })], ['other-dial-rings 8.1'], alone),
      ...NO_TRACE,
    },
  },
  'a channel of somebody else that rings in our app': {
    beliefs: { ...NONE, dials: [{ ...OTHER, isInStasis: true }] },
    drops: {
      StasisStart: 'it has entered',
      StasisEnd: OTHER_GONE,
      ChannelStateChange: finds([other({ app: 'AppDial2' })], ['offer 8.1'], alone),
      ChannelHangupRequest: OTHER_GONE,
      ChannelDestroyed: OTHER_GONE,
      Dial: finds([other()], ['offer 8.1'], alone),
      ...NO_TRACE,
    },
  },
  'a phone that somebody else calls': {
    beliefs: { ...NONE, dials: [OTHER] },
    drops: {
      StasisStart: finds([other({ data: 'pipecat,order' })], ['offer 8.1 order'], alone),
      StasisEnd: OTHER_GONE,
      // Up, and not in our app yet: it comes at once, or has its own end.
      ChannelStateChange: finds([other({ app: 'AppDial2' })], [], alone),
      ChannelHangupRequest: OTHER_GONE,
      ChannelDestroyed: OTHER_GONE,
      Dial: finds([other({ state: 'Ringing', app: 'AppDial2' })], [], alone),
      ...NO_TRACE,
    },
  },
  'a call that is ending': {
    call: { isEnding: true },
    drops: {
      StasisStart: finds(together, []),
      StasisEnd: finds([channel('7.1', { app: 'Playback' }), MEDIA_CHANNEL], []),
      ChannelStateChange: finds(together, []),
      ChannelHangupRequest: finds([], []),
      ChannelDestroyed: finds([], []),
      Dial: 'nobody dials them',
      ...NO_TRACE,
    },
  },
  'a caller who was given back to the dialplan': {
    beliefs: { ...NONE, pendingReleases: new Map([['8.1', { kind: 'give-back', isDone: true, seen: 0 }]]) },
    drops: {
      // One who comes again at once looks like one who has yet to go: the second look decides.
      StasisStart: finds([other()], ['count-release 8.1'], alone),
      StasisEnd: finds([other({ app: 'Playback' })], ['forget-release 8.1'], alone),
      ChannelStateChange: finds([other({ app: 'Playback' })], ['forget-release 8.1'], alone),
      ChannelHangupRequest: finds([], ['count-release 8.1'], alone),
      ChannelDestroyed: finds([], ['count-release 8.1'], alone),
      Dial: finds([other({ app: 'Dial' })], ['forget-release 8.1'], alone),
      ...NO_TRACE,
    },
  },
  'a channel that was hung up': {
    beliefs: { ...NONE, pendingReleases: new Map([['8.1', { kind: 'hang-up', isDone: true, seen: 1 }]]) },
    drops: {
      StasisStart: finds([other()], ['repeat-release 8.1'], alone),
      StasisEnd: finds([], ['forget-release 8.1'], alone),
      ChannelStateChange: finds([other()], ['repeat-release 8.1'], alone),
      ChannelHangupRequest: finds([], ['forget-release 8.1'], alone),
      ChannelDestroyed: finds([], ['forget-release 8.1'], alone),
      Dial: finds([], ['forget-release 8.1'], alone),
      ...NO_TRACE,
    },
  },
};

for (const [moment, { call, beliefs: known, drops }] of Object.entries(MOMENTS)) {
  for (const [type, dropped] of Object.entries(drops)) {
    if (typeof dropped === 'string') continue;
    test(`${type} is lost, of ${moment}`, () => {
      const believed = beliefs({ calls: [{ ...TALKING, ...call }], ...known });
      const found = reconcile(believed, holdings(dropped.channels, dropped.holdings));
      assert.deepEqual(found.map(told).sort(), [...dropped.actions].sort());
    });
  }
}

test('every event that is subscribed to is dropped at every moment, or it is said why that leaves nothing', () => {
  // These two concern the connection, which is made anew without them (see ari/connection).
  const ofChannels = EVENT_TYPES.filter(
    (type) => type !== 'ApplicationReplaced' && type !== 'ChannelUserevent',
  );
  for (const [moment, { drops }] of Object.entries(MOMENTS))
    assert.deepEqual(Object.keys(drops).sort(), [...ofChannels].sort(), moment);
});
