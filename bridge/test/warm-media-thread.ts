import { MediaWorker } from '../src/media/media-worker.ts';
import type { FromWorker, ToWorker, WorkerSettings } from '../src/media/worker-messages.ts';
import { serve } from './warm-thread.ts';

serve<WorkerSettings, ToWorker, FromWorker>((settings, tell) => new MediaWorker(settings, tell));
