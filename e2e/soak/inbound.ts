/** Calls that come in: from a telephone of ours, from SIPp, and from a second Asterisk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type SipDialogue, SipPhone } from '../phones/sip-phone.ts';
import { requestText } from '../sipp/text.ts';
import { SECOND_PHONE } from '../stack/ports.ts';
import { LINES } from './kinds.ts';
import type { PlannedCall } from './plan.ts';
import { doDeed, speak, untilHangUp } from './talk.ts';
import { longestSilenceMs } from './trend.ts';
import type { CallFacts } from './verdict.ts';
import type { RunningCall, World } from './world.ts';

const ANSWER_LIMIT_MS = 120_000;
const CANCEL_AFTER_MS = 1_200;
const WIDE_POLL_MS = 250;
/** The number of our BYE: behind all requests that a transfer sends. */
const BYE_SEQUENCE = 50;
/** The number of the first NOTIFY of a REFER. */
const NOTIFY_SEQUENCE = 10;

type End = Pick<CallFacts, 'answeredMs' | 'endedBy' | 'status' | 'longestSilenceMs'>;

/** One call of a telephone, from the INVITE to the end. */
export async function phoneCall(world: World, planned: PlannedCall, running: RunningCall): Promise<End> {
  const { id, kind } = planned;
  await using phone = await SipPhone.open(LINES[kind.line], world.stack.ports);
  const invite = phone.request(kind.bot, { headers: [`X-Call-ID: ${id}`] });
  await phone.write(requestText(invite));
  const final = phone.answered(invite, ANSWER_LIMIT_MS);
  if (kind.does === 'cancel') {
    final.catch(() => undefined);
    await Promise.race([sleep(CANCEL_AFTER_MS), final.catch(() => undefined)]);
    await phone.write(requestText({ ...invite, method: 'CANCEL', body: '', headers: [] }));
  }
  const dialogue = await final;
  if (dialogue.status === 487) return { endedBy: 'us', status: 487 };
  if (dialogue.status !== 200) return { endedBy: 'refused', status: dialogue.status };
  const answeredMs = performance.now();
  running.answeredMs = answeredMs;
  const endedBy = await talk(world, planned, phone, dialogue, running);
  phone.rtp.hush();
  return { answeredMs, endedBy, longestSilenceMs: longestSilenceMs(phone.rtp.datagrams) };
}

/** The talk of an answered call. Resolves with who hung up. */
async function talk(
  world: World,
  planned: PlannedCall,
  phone: SipPhone,
  dialogue: SipDialogue,
  running: RunningCall,
): Promise<'us' | 'them'> {
  const { kind, talkMs, deedMs } = planned;
  speak(world, phone.rtp);
  const callId = dialogue.invite.callId;
  const isBye = ({ method, headers }: { method?: string; headers: Record<string, string> }) =>
    method === 'BYE' && headers['call-id'] === callId;
  const bye = phone.next('BYE', isBye, talkMs + ANSWER_LIMIT_MS).then(
    () => 'them' as const,
    () => 'us' as const,
  );
  const isTransfer = kind.does === 'leg' || kind.does === 'refer' || kind.does === 'dialplan';
  const deed = sleep(deedMs, undefined, { signal: world.over }).then(async () => {
    running.isAway = isTransfer;
    if (kind.does === 'refer') void referred(phone, dialogue).catch(() => undefined);
    await doDeed(world, planned, phone.rtp);
  });
  deed.catch(() => undefined);
  const endedBy = await Promise.race([bye, untilHangUp(world, talkMs).then(() => undefined)]);
  if (endedBy !== undefined) return endedBy;
  await phone.within(dialogue, 'BYE', BYE_SEQUENCE).catch((error: Error) => {
    // Asterisk may stand still for longer than a telephone waits for its answer.
    if (world.act === undefined) throw error;
  });
  return 'us';
}

/** Takes the REFER of a transfer, and says that it went well. */
async function referred(phone: SipPhone, dialogue: SipDialogue): Promise<void> {
  const { headers } = await phone.nextRequest('REFER', ANSWER_LIMIT_MS);
  const notify = (sequence: number, state: string, line: string) =>
    phone.within(dialogue, 'NOTIFY', sequence, {
      headers: [`Event: refer;id=${Number.parseInt(headers.cseq ?? '', 10)}`, `Subscription-State: ${state}`],
      contentType: 'message/sipfrag;version=2.0',
      body: `SIP/2.0 ${line}\r\n`,
    });
  await notify(NOTIFY_SEQUENCE, 'active;expires=60', '100 Trying');
  await notify(NOTIFY_SEQUENCE + 1, 'terminated;reason=noresource', '200 OK');
}

/** One call of SIPp. */
export async function sippCall(world: World, { id, kind, talkMs }: PlannedCall): Promise<End> {
  const seconds = Math.max(1, Math.round(talkMs / 1_000));
  const options = { to: kind.bot, callId: id, seconds, local: SECOND_PHONE };
  const beganMs = performance.now();
  const { sip } = await world.stack.phones.callOnce(options);
  if (sip.status !== 200) return { endedBy: 'refused', status: sip.status };
  const answeredMs = beganMs + (sip.inviteToAnswerMs ?? 0);
  return { answeredMs, endedBy: sip.endedBy === 'us' ? 'us' : 'them' };
}

/** One wideband call of the second Asterisk, which talks for as long as its tone lasts. */
export async function wideCall(
  world: World,
  { id, kind }: PlannedCall,
  running: RunningCall,
  talkMs: number,
): Promise<End> {
  const channel = await world.wide.place(kind.bot, id, kind.name === 'opus' ? 'opus' : 'g722');
  let answeredMs: number | undefined;
  for (;;) {
    const state = await world.wide.stateOf(channel.id);
    if (state === undefined) break;
    if (state === 'Up') answeredMs ??= performance.now();
    if (answeredMs !== undefined) running.answeredMs ??= answeredMs;
    await sleep(WIDE_POLL_MS);
  }
  if (answeredMs === undefined) return { endedBy: 'refused' };
  const isWhole = performance.now() - answeredMs > talkMs - 3 * WIDE_POLL_MS;
  return { answeredMs, endedBy: isWhole ? 'us' : 'them' };
}
