// Ends a link whose server is not heard any more: a path that drops packets looks like a server that has nothing to say.

import type { EdgeClock } from '../poller.ts';
import type { Link } from './link.ts';

const lookMs = 5_000;
/** Then the server is asked for a sign of life. */
const quietMs = 10_000;
/** With `lookMs` 25 s at most, and users of the server's port wait no longer. */
const deadMs = 20_000;

/** Returns the call that ends the watch. */
export function watchSilence(link: Link, clock: EdgeClock): () => void {
  let heardBytes = link.heardBytes();
  let heardMs = clock.monotonicMs();
  const look = (): void => {
    cancel = clock.after(lookMs, look);
    const nowMs = clock.monotonicMs();
    if (link.heardBytes() !== heardBytes) {
      heardBytes = link.heardBytes();
      heardMs = nowMs;
    }
    const silentMs = nowMs - heardMs;
    if (silentMs >= deadMs) link.close(`the tunnel server was silent for ${Math.round(silentMs / 1_000)} s`);
    else if (silentMs >= quietMs) link.ping();
  };
  let cancel = clock.after(lookMs, look);
  return () => cancel();
}
