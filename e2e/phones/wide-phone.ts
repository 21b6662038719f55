/**
 * A telephone for wideband: a second Asterisk that plays a tone into each of its calls and records
 * what it hears.
 */
import type { StartedTestContainer } from 'testcontainers';
import { Ari, type Resource } from '../hands/ari.ts';
import { tone, WIDE_CALLER_HZ } from '../mock-pipecat/src/tones.ts';
import { startWidePhone } from '../stack/containers.ts';
import { LOCALHOST, PORTS, WIDE_PHONE } from '../stack/ports.ts';
import { until } from '../stack/stack.ts';

/** Rate of what is spoken and recorded, in Hz. */
export const WIDE_RATE = 16_000;

/** How long it speaks before it hangs up, in ms. */
const TALK_MS = 3000;
const CALL_LIMIT_MS = 15_000;
const MIXMONITOR = 'app_mixmonitor.so';

/** A call is recorded under its own number, or where it was placed from here, its id. */
const DIALPLAN = `[phone]
exten => talk,1,Answer()
 same => n,Set(RECORD=\${IF($[\${LEN(\${RECORD})} > 0]?\${RECORD}:\${INBOUND_DID})})
 same => n,MixMonitor(,r(/tmp/\${RECORD}.sln16))
 same => n,Playback(/etc/asterisk-providers/tone)
 same => n,StopMixMonitor()
 same => n,Hangup()
`;

function line(codec: string, match: string): string {
  return `AUTH=ip\nMATCH=${match}\nHOST=${LOCALHOST}:${PORTS.sip}\nCODECS=${codec}\n`;
}

/** Calls by `wideband`'s address, and takes its calls. */
export class WidePhone {
  readonly #container: StartedTestContainer;
  readonly #ari = new Ari({ ...PORTS, ...WIDE_PHONE });

  private constructor(container: StartedTestContainer) {
    this.#container = container;
  }

  /** Starts it, able to take calls (in G.722) and to place them. It talks `talkMs` in each call. */
  static async start(talkMs = TALK_MS): Promise<WidePhone> {
    const samples = tone(WIDE_CALLER_HZ, talkMs, WIDE_RATE);
    const phone = new WidePhone(
      await startWidePhone({
        'g722.env': line('g722', LOCALHOST),
        'opus.env': line('opus', '127.0.0.99'),
        'phone.conf': DIALPLAN,
        'tone.sln16': Buffer.from(samples.buffer),
      }),
    );
    // The product needs no recording by Asterisk, so its module has to be asked for.
    await phone.#ari.request('POST', `/asterisk/modules/${MIXMONITOR}`);
    return phone;
  }

  /** Places a call in one codec; resolves with what it heard, at 16 kHz, when the call is over. */
  async call(to: string, callId: string, codec: 'g722' | 'opus'): Promise<Int16Array> {
    await this.place(to, callId, codec);
    return this.heard(callId);
  }

  /** Places a call; resolves with its channel. */
  async place(to: string, callId: string, codec: 'g722' | 'opus'): Promise<Resource> {
    const target = `endpoint=PJSIP/${to}@${codec}&context=phone&extension=talk&priority=1`;
    const variables = { RECORD: callId, 'PJSIP_HEADER(add,X-Call-ID)': callId };
    return (await this.#ari.request('POST', `/channels?${target}`, { variables })) as Resource;
  }

  /** State of a channel; undefined when it is gone. */
  async stateOf(channelId: string): Promise<string | undefined> {
    const channels = (await this.#ari.channels()) as (Resource & { state: string })[];
    return channels.find(({ id }) => id === channelId)?.state;
  }

  /** What it heard in a call, at 16 kHz, once it has none any more. */
  async heard(record: string): Promise<Int16Array> {
    await until('the call is over', CALL_LIMIT_MS, async () => {
      const { exitCode } = await this.#container.exec(['test', '-s', `/tmp/${record}.sln16`]);
      return exitCode === 0 && (await this.#ari.channels()).length === 0;
    });
    const { output } = await this.#container.exec(['base64', '--wrap=0', `/tmp/${record}.sln16`]);
    const bytes = Buffer.from(output, 'base64');
    return Int16Array.from({ length: bytes.length >> 1 }, (_, at) => bytes.readInt16LE(at * 2));
  }

  /** Ends and removes it. */
  async stop(): Promise<void> {
    await this.#container.stop();
  }
}
