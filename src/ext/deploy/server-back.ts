/** A server that went away: restarted as it was asked to be, or ended by a crash of one of its backends. */
import { AppError, toAppError } from '../../base/base.ts';
import type { ServerLock } from '../server/server.ts';
import { lockName, type Target } from './target.ts';

/** A session's lock ends with its server: after a restart it is another one. */
export interface Held {
  lock: ServerLock;
}

/** A server that recovers after a crash takes longer than one that was stopped in order. */
const restartMs = 120_000;
const crashMs = 60_000;
const askEveryMs = 200;

/** After a restart that was asked for. Throws `ext_failed` when the server stays away, `ext_busy`. */
export async function holdAgain(target: Target, held: Held): Promise<void> {
  const lock = await waitFor(target, restartMs, () => target.server.lock(lockName(target)));
  await held.lock.release();
  held.lock = lock;
}

/** Returns when the server answers again. Throws `ext_failed` when it does not. */
export async function answersAgain(target: Target): Promise<void> {
  await waitFor(target, restartMs, () => target.server.state());
}

/**
 * Whether what has failed for want of a connection can be taken back now: the machine answers, its server
 * lets us in, and the deployment is still ours. A library that crashes one backend makes PostgreSQL end
 * them all, and lets in nobody until it has recovered.
 */
export async function isBack(
  target: Target,
  held: Held,
  { serverBackMs = crashMs }: { readonly serverBackMs?: number },
): Promise<boolean> {
  try {
    await target.host.check('true');
    // The loss of a session reaches us after what another one has said of it.
    await waitFor(target, serverBackMs, () => target.server.state());
    if (held.lock.lost.aborted) {
      held.lock = await waitFor(target, serverBackMs, () => target.server.lock(lockName(target)));
    }
    return true;
  } catch {
    // What led here is the failure to be told; whoever looks again finds the journal.
    return false;
  }
}

async function waitFor<T>({ clock }: Target, limitMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = clock.monotonicMs() + limitMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (toAppError(error).code !== 'target_unreachable') throw error;
      if (clock.monotonicMs() > deadline) {
        throw new AppError('ext_failed', 'the server did not come back after its restart', {
          remedy: 'Its log says why.',
          cause: error,
        });
      }
      await clock.sleep(askEveryMs);
    }
  }
}
