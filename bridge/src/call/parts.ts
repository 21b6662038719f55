import type { AriClient } from '../ari/client.ts';
import type { Logger } from '../log.ts';
import type { MediaPool } from '../media/pool.ts';
import type { MediaEvent } from '../media/session.ts';
import type { AdoptedTalk } from './adopted-talk.ts';
import { Answer } from './answer.ts';
import { CallBot } from './call-bot.ts';
import { CallLog } from './call-log.ts';
import { CallerChannel } from './caller-channel.ts';
import type { Dial } from './dial.ts';
import { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import { dispatchMediaEvent, type MediaEventHooks } from './media-events.ts';
import { MediaPath, type ObjectIdParts } from './media-path.ts';
import { MediaTroubles } from './media-troubles.ts';
import { RecordingLog } from './recording-log.ts';
import type { ReleaseContext } from './release.ts';
import type { SetUpContext } from './set-up.ts';
import type { CallSettings } from './settings.ts';
import { Steps } from './steps.ts';
import { CallTransfers, type TransfersContext } from './transfers.ts';

/** What a call and its parts work with. */
export interface PartsContext extends Pick<TransfersContext, 'admitLeg'> {
  readonly ari: AriClient;
  readonly media: MediaPool;
  readonly log: Logger;
  /** For a caller whom a previous process transferred to a second leg. */
  readonly talk?: AdoptedTalk | undefined;
  /** The process and the call's number: parts of the ids of its objects in Asterisk. */
  readonly ids: Pick<ObjectIdParts, 'instance' | 'number'>;
}

/** What the parts ask of their call, and report to it. */
export interface PartsHooks
  extends Pick<TransfersContext, 'end' | 'changed' | 'letBotGo'>,
    Pick<MediaEventHooks, 'botLeaves' | 'transfer'>,
    Pick<SetUpContext, 'info' | 'answered'> {
  /** Whether the end is decided. */
  readonly isEnding: () => boolean;
}

/** How a call comes to us. */
export interface CallOrigin {
  readonly info: CallInfo;
  /** Whether the caller's channel is up. */
  readonly isUp: boolean;
  /** For an outbound call of ours. */
  readonly dial: Dial | undefined;
}

/** The parts of one call, connected with each other and with the call. They open nothing yet. */
export class CallParts implements SetUpContext, ReleaseContext {
  readonly ari: AriClient;
  readonly pool: MediaPool;
  readonly settings: CallSettings;
  readonly ending = new Ending();
  readonly steps = new Steps();
  readonly bot = new CallBot();
  readonly warnings = new Set<string>();
  readonly log: CallLog;
  readonly answer: Answer;
  readonly path: MediaPath;
  readonly caller: CallerChannel;
  readonly recordingLog: RecordingLog;
  readonly transfers: CallTransfers;
  readonly troubles: MediaTroubles;
  readonly info: () => CallInfo;
  readonly answered: () => void;
  readonly onMedia: (event: MediaEvent) => void;
  readonly mark = (step: string): void => this.steps.mark(step);

  constructor(origin: CallOrigin, settings: CallSettings, context: PartsContext, hooks: PartsHooks) {
    const { info, isUp, dial } = origin;
    const { ari, ids, talk } = context;
    const { ending, bot, mark } = this;
    const { end, changed, letBotGo, botLeaves, transfer } = hooks;
    const warn = (detail: string | undefined, message: string) => this.log.warn(detail, message);
    this.ari = ari;
    this.pool = context.media;
    this.settings = settings;
    this.info = hooks.info;
    this.answered = hooks.answered;
    this.log = new CallLog(context.log, () => hooks.info().callId, ending);
    this.answer = new Answer(info, isUp, talk !== undefined, dial);
    this.recordingLog = new RecordingLog(info, {
      changed: () => changed('recording'),
      storeMode: (mode) =>
        this.log.inBackground(ari.setVariable(this.caller.id, 'X_RECORD', mode), 'store mode'),
    });
    this.path = new MediaPath({ ...ids, callerId: info.channelId }, settings.media, ari);
    this.caller = new CallerChannel({
      ari,
      info,
      bridgeId: this.path.bridgeId,
      ending,
      warn: (error, message) => warn(error.message, message),
    });
    this.troubles = new MediaTroubles({
      ari,
      channelId: info.channelId,
      path: this.path,
      ending,
      transport: settings.media.transport,
      limitMs: settings.ariTimeoutMs,
      caller: this.caller,
      lost: botLeaves,
      needsMedia: () => !bot.isGone,
      warn,
      media: () => bot.media,
      isLive: () => !hooks.isEnding() && ending.reason === undefined && !bot.isGone,
      now: () => performance.now(),
      isQuiet: () => this.transfers.isQuiet,
      isBack: (media) => this.transfers.mediaIsBack(media),
    });
    this.transfers = new CallTransfers({
      ari,
      admitLeg: context.admitLeg,
      info,
      path: this.path,
      settings: settings.transfer,
      signal: ending.signal,
      channelId: () => this.caller.id,
      end,
      changed,
      letBotGo,
    });
    const mediaHooks: MediaEventHooks = {
      troubles: this.troubles,
      recordingLog: this.recordingLog,
      mark,
      firstBotAudio: () => bot.spoke(),
      botConnection: (id) => bot.connected(id),
      botSilent: (detail, isOwed) => {
        this.warnings.add(`bot: ${detail}`);
        // A bot may wait for the caller to speak: then only the record says so.
        if (isOwed) warn(detail, 'the bot is connected and says nothing');
      },
      end,
      botLeaves,
      dtmf: (digits) => this.caller.dtmf(digits),
      transfer,
      warn,
    };
    this.onMedia = (event) => {
      if (!bot.isGone) dispatchMediaEvent(event, mediaHooks);
    };
  }
}
