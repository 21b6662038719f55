/** What is known of one media message of the bot. Times in ms. */
export interface MediaNote {
  readonly atMs: number;
  readonly audioMs: number;
  /** Size of the whole message on the wire, without the frame around it. */
  readonly messageBytes: number;
  /** Nothing was left to be played when it came: it begins an utterance. */
  readonly begins: boolean;
}

/** How a bot's audio came. */
export interface MediaFigures {
  readonly messages: number;
  readonly audioMs: number;
  /** Audio in a message. */
  readonly messageMs: Spread;
  readonly messageBytes: Spread;
  /** From one message to the next, within an utterance. */
  readonly gapMs: Spread;
  /** Most messages in any second. */
  readonly messagesPerSecond: number;
  /**
   * Audio sent divided by the time it took, over utterances of more than one message; 1 is real
   * time. Undefined if there was none.
   */
  readonly speed: number | undefined;
}

/** The middle and the largest of many values; 0 for none. */
export interface Spread {
  readonly p50: number;
  readonly max: number;
}

/** Sizes and rates of the media messages of one call. */
export function mediaFigures(notes: readonly MediaNote[]): MediaFigures {
  const within = notes.flatMap((note, i) => {
    const before = notes[i - 1];
    return before === undefined || note.begins
      ? []
      : [{ gapMs: note.atMs - before.atMs, audioMs: note.audioMs }];
  });
  const gapMs = sum(within.map((step) => step.gapMs));
  return {
    messages: notes.length,
    audioMs: sum(notes.map(({ audioMs }) => audioMs)),
    messageMs: spread(notes.map(({ audioMs }) => audioMs)),
    messageBytes: spread(notes.map(({ messageBytes }) => messageBytes)),
    gapMs: spread(within.map((step) => step.gapMs)),
    messagesPerSecond: busiestSecond(notes),
    speed: gapMs === 0 ? undefined : sum(within.map(({ audioMs }) => audioMs)) / gapMs,
  };
}

function busiestSecond(notes: readonly MediaNote[]): number {
  let most = 0;
  let first = 0;
  notes.forEach(({ atMs }, i) => {
    while ((notes[first]?.atMs ?? atMs) <= atMs - 1000) first += 1;
    most = Math.max(most, i - first + 1);
  });
  return most;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: sorted[sorted.length >> 1] ?? 0, max: sorted.at(-1) ?? 0 };
}
