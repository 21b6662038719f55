import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MediaError } from '../media/media-error.ts';
import { askMedia } from './request-refused.ts';

test('media that cannot answer refuses the request: it may be tried again', async () => {
  const died = () => Promise.reject(new MediaError('worker-died', 'the thread ended'));
  await assert.rejects(askMedia(died), { status: 503, retryAfterS: 5, message: /the thread ended/ });
  const defect = () => Promise.reject(new TypeError('a defect'));
  await assert.rejects(askMedia(defect), TypeError);
});
