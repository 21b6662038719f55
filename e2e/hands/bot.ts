/** The mock bot's own account of its calls, and a hand on it. */
import { LOCALHOST, type Ports } from '../stack/ports.ts';

/**
 * What the mock bot saw of one connection (its README explains the fields); times in ms since 1970.
 */
export interface BotCall {
  callId: string;
  mode: string;
  attempt: number;
  state: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  requestedAtMs: number;
  openedAtMs?: number;
  startedAtMs?: number;
  answeredAtMs?: number;
  start?: Record<string, unknown>;
  media: {
    messages: number;
    audioMs: number;
    firstSoundAtMs?: number;
    timestampGaps: number;
    gapMs: { p50: number; p99: number; max: number };
    heardMs: Record<string, number>;
  };
  digits: string;
  marks: { name: string; cleared: boolean; atMs: number }[];
  cleared: { ms: number; atMs: number }[];
  speech: { state: 'start' | 'stop'; atMs: number }[];
  events: { event: string; status?: string; reason?: string; atMs: number }[];
  errors: { code: string; message: string }[];
  hangup?: { reason: string; cause: number; causeText: string; atMs: number };
  sent: {
    messages: number;
    audioMs: number;
    lastAtMs?: number;
    worstLateMs: number;
    events: { event: string; atMs: number }[];
  };
  close?: { code: number; reason: string; by: string; atMs: number };
  violations: { what: string }[];
}

/** A moment in a call's life that `wait` knows. */
export type Milestone =
  | 'opened'
  | 'started'
  | 'answered'
  | 'media'
  | 'sound'
  | 'dtmf'
  | 'mark'
  | 'clear'
  | 'closed';

/**
 * How the bot sends its audio, in ms: audio in each message, time between messages, and the grid of
 * send times.
 */
export interface Pace {
  chunkMs: number;
  intervalMs: number;
  gridMs?: number;
}

/** All in one message. */
export const AT_ONCE: Pace = { chunkMs: 120_000, intervalMs: 0 };
/** At 3.5 times real time, as some versions of Pipecat do. */
export const FAST: Pace = { chunkMs: 40, intervalMs: 40 / 3.5 };
/** 1100 bytes of G.711 every 137.5 ms on a 40 ms grid: a stock bot of 24 kHz. */
export const IN_STEPS: Pace = { chunkMs: 137.5, intervalMs: 137.5, gridMs: 40 };

const LIMIT_MS = 15_000;

/** The mock bot's inspection API. */
export class MockBot {
  #url: string;

  constructor(ports: Ports) {
    this.#url = `http://${LOCALHOST}:${ports.mock}`;
  }

  /** All connections that the query fits (`{from_number: …}`), newest first. */
  async calls(query: Readonly<Record<string, string>> = {}): Promise<BotCall[]> {
    return (await this.#get(`/calls?${new URLSearchParams(query)}`)) as BotCall[];
  }

  /** The call once it got so far. Throws an Error when it does not within 15 s. */
  async wait(callId: string, milestone: Milestone): Promise<BotCall> {
    const path = `/calls/${encodeURIComponent(callId)}?wait=${milestone}&timeout_ms=${LIMIT_MS}`;
    return (await this.#get(path)) as BotCall;
  }

  /** Sends messages to the bridge in the bot's name. */
  async send(callId: string, ...messages: Record<string, unknown>[]): Promise<void> {
    const response = await fetch(`${this.#url}/calls/${encodeURIComponent(callId)}/send`, {
      method: 'POST',
      body: JSON.stringify(messages),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!response.ok) throw new Error(`mock bot: ${response.status} ${await response.text()}`);
  }

  /**
   * Lets the bot send audio in the call's encoding, in real time unless told otherwise. Returns
   * when it began, in ms since 1970.
   */
  async say(callId: string, audio: Uint8Array, pace?: Pace): Promise<number> {
    const { chunkMs, intervalMs, gridMs = 0 } = pace ?? { chunkMs: 40, intervalMs: 40 };
    const query = `chunk_ms=${chunkMs}&interval_ms=${intervalMs}&grid_ms=${gridMs}`;
    const response = await fetch(`${this.#url}/calls/${encodeURIComponent(callId)}/say?${query}`, {
      method: 'POST',
      body: new Uint8Array(audio),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!response.ok) throw new Error(`mock bot: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { atMs: number }).atMs;
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}${path}`, { signal: AbortSignal.timeout(LIMIT_MS + 1000) });
    if (!response.ok) throw new Error(`mock bot, ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
}
