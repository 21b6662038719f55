import type { CallSettings } from './call.ts';
import type { CallInfo } from './call-info.ts';
import type { Config } from './config.ts';
import { startQuery } from './pipecat/native.ts';

/** What the configuration, and the provider's file where it says more, mean for one call. */
export function callSettings(config: Config, info: CallInfo): CallSettings {
  const provider = config.providers.get(info.sipProvider);
  return {
    media: {
      address: config.RTP_ADDRESS,
      // 16-bit linear does not cross RTP at 8 kHz: Asterisk is sent G.711, which is what the telephone side has anyway.
      rtpEncoding: info.encoding === 'pcma' ? 'pcma' : 'pcmu',
      botEncoding: info.encoding,
      prebufferMs: config.PLAYOUT_PREBUFFER_MS,
      queueMs: config.PLAYOUT_QUEUE_MS,
      maxBadMessages: config.BOT_MAX_BAD_MESSAGES,
      mediaTimeoutMs: config.MEDIA_TIMEOUT_MS,
    },
    botTarget: {
      url: provider?.pipecatUrl[info.direction] ?? config.PIPECAT_URL,
      query: startQuery(info),
      authorization: provider?.pipecatAuthorization ?? config.PIPECAT_AUTHORIZATION,
      origin: provider?.pipecatOrigin ?? config.PIPECAT_ORIGIN,
    },
    botLimits: {
      maxMessageBytes: config.BOT_MAX_MESSAGE_BYTES,
      sendBufferBytes: config.BOT_SEND_BUFFER_BYTES,
      pingMs: config.BOT_PING_MS,
    },
    botConnectMs: config.BOT_CONNECT_MS,
    botConnectTries: config.BOT_CONNECT_TRIES,
    botReconnectMs: config.BOT_RECONNECT_MS,
    answerOn: config.ANSWER_ON,
    firstAudioMs: config.FIRST_AUDIO_MS,
    ariTimeoutMs: config.ARI_TIMEOUT_MS,
    maxDurationMs: config.MAX_CALL_DURATION_S * 1000,
  };
}
