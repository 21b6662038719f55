import type { MediaEvent } from '../media/session.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import { type EndReason, reasonOfBotGone } from './end-reason.ts';
import type { MediaTroubles } from './media-troubles.ts';
import type { RecordingLog } from './recording-log.ts';

/** What media events can do to a call. */
export interface MediaEventHooks {
  readonly troubles: MediaTroubles;
  readonly recordingLog: RecordingLog;
  /** A step of the call was reached. */
  readonly mark: (step: string) => void;
  readonly firstBotAudio: () => void;
  /** The bot's connection that is open now. Undefined: the last one is over. */
  readonly botConnection: (id: string | undefined) => void;
  /** The bot was not heard in time. `isOwed`: it should have spoken first. */
  readonly botSilent: (detail: string, isOwed: boolean) => void;
  /** Ends the call. */
  readonly end: (reason: EndReason) => void;
  /**
   * The bot hung up, or it or the media was lost. `queuedMs`: the bot's audio that is not played
   * yet. A transfer goes on without the bot.
   */
  readonly botLeaves: (reason: EndReason, queuedMs?: number) => void;
  readonly dtmf: (digits: string) => void;
  readonly transfer: (request: TransferRequest) => void;
  readonly warn: (detail: string | undefined, message: string) => void;
}

/** Executes what an event of the media means for its call. */
export function dispatchMediaEvent(event: MediaEvent, hooks: MediaEventHooks): void {
  const { troubles, recordingLog, mark, end, botLeaves, warn } = hooks;
  switch (event.type) {
    case 'first-caller-audio':
      return mark('firstCallerAudio');
    case 'first-bot-audio':
      mark('firstBotAudio');
      return hooks.firstBotAudio();
    case 'bot-open':
      hooks.botConnection(event.connectionId);
      return mark('bot');
    case 'bot-seeking':
      hooks.botConnection(undefined);
      return warn(event.detail, 'bot lost, trying again');
    case 'bot-ask':
    case 'bot-failed':
    case 'lost':
      // The media has answered.
      return;
    case 'bot-silent':
      return hooks.botSilent(event.detail, event.isOwed);
    case 'bot-gone':
      return botLeaves(reasonOfBotGone(event.how, event.detail), event.queuedMs);
    case 'bot-hangup':
      if (event.immediate) return end({ kind: 'bot-hangup-immediate' });
      return botLeaves({ kind: 'bot-hangup' }, event.queuedMs);
    case 'bot-dtmf':
      return hooks.dtmf(event.digits);
    case 'bot-transfer':
      return hooks.transfer(event.request);
    case 'recording':
      if (event.state === 'failed') warn(event.detail, 'recording failed, the call goes on');
      return recordingLog.note(event);
    case 'bot-refused':
      return warn(event.detail, `the bot's message is refused: ${event.code}`);
    case 'bot-misbehaved':
      return botLeaves({ kind: 'bot-misbehaved', detail: event.detail });
    case 'line-quiet':
      return troubles.audioCeased();
    case 'media-timeout':
      return void troubles.timedOut();
    case 'silence':
      return end({ kind: event.type });
    case 'worker-died':
      hooks.botConnection(undefined);
      return void troubles.workerDied(event.detail);
  }
}
