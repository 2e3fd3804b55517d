import type { Log } from '../../base/base.ts';
import type { Host } from './host.ts';
import { openLocalHost } from './local.ts';
import { openSshHost } from './ssh.ts';

/**
 * This machine where no name is given, or the one behind `user@host`, `user@host:port` or a name of ssh's
 * configuration. Throws `invalid_input`, `unavailable` (no ssh here), `target_unreachable`.
 */
export async function openHost(
  name: string | undefined,
  options: {
    readonly log: Log;
    /** For `ssh -o`: `IdentityFile=/keys/deploy`. */
    readonly sshOptions?: readonly string[];
    readonly signal?: AbortSignal;
  },
): Promise<Host> {
  if (name === undefined) return openLocalHost();
  const { log, signal, sshOptions } = options;
  return await openSshHost({
    to: name,
    log,
    ...(sshOptions === undefined ? {} : { options: sshOptions }),
    ...(signal === undefined ? {} : { signal }),
  });
}
