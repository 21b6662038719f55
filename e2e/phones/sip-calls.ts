/** A call of a {@link SipPhone} to the bot, and its end. */
import type { SipRequest } from '../sipp/text.ts';
import { newCallId, type Stack } from '../stack/stack.ts';
import type { SipDialogue, SipPhone } from './sip-phone.ts';

/** Calls the bot's endless tone; the caller talks from the answer on. */
export async function callBot(
  phone: SipPhone,
  about: string,
  parts: Partial<SipRequest> = {},
  to = '102',
): Promise<{ callId: string; dialogue: SipDialogue }> {
  const callId = newCallId(about);
  const headers = [`X-Call-ID: ${callId}`, ...(parts.headers ?? [])];
  const dialogue = await phone.call(to, { ...parts, headers });
  phone.rtp.talk();
  return { callId, dialogue };
}

/** The caller hangs up; resolves when the bot's connection is closed. */
export async function hangUp(
  stack: Stack,
  phone: SipPhone,
  callId: string,
  dialogue: SipDialogue,
): Promise<void> {
  phone.rtp.hush();
  await phone.hangUp(dialogue);
  await stack.bot.wait(callId, 'closed');
}
