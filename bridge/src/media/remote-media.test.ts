import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MediaRequest } from './protocol.ts';
import { RemoteMedia } from './remote-media.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

const recording = { path: '/recordings/a.wav', paused: false, maxBytes: 1_000 };

for (const isPaused of [true, false]) {
  test(`opened anew, a recording is ${isPaused ? '' : 'not '}paused as it was last told, though its disk failed then`, async () => {
    const asked: MediaRequest[] = [];
    const thread = {
      take: () => 1,
      forget: () => {},
      tell: () => {},
      ask: async (_session: number, request: MediaRequest) => asked.push(request),
    };
    const settings = { recording: { ...recording, paused: !isPaused } } as MediaSettings;
    const media = new RemoteMedia(
      settings,
      () => {},
      async () => thread,
    );
    await media.open();
    const told: MediaEvent = {
      type: 'recording',
      state: 'failed',
      file: 'a.wav',
      isPaused,
      detail: 'ENOSPC',
    };
    media.happened(told, true);
    await media.reopen();
    const again = asked[1];
    assert.equal(again?.method === 'open' && again.settings.recording?.paused, isPaused);
  });
}
