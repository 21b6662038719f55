import type { FromStore, StoreSettings, ToStore } from '../src/records/store-messages.ts';
import { StoreWorker } from '../src/records/store-worker.ts';
import { serve } from './warm-thread.ts';

serve<StoreSettings, ToStore, FromStore>((settings, tell) => {
  const worker = new StoreWorker(settings, tell);
  return {
    handle: (message) => worker.handle(message),
    close: () => {
      worker.close();
      return 0;
    },
  };
});
