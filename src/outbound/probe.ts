import { connect } from 'node:net';
import { assertReachable, guardedLookup, hostOf, portOf, type Rules } from './addresses.ts';

/**
 * Connects to a URL's host and hangs up: its name is known, it may be reached, somebody listens. Rejects
 * with `outbound_refused`, the connection's error, or the signal's reason.
 */
export async function probe(url: URL, rules: Rules, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  assertReachable(url, rules);
  const port = portOf(url);
  const socket = connect({ host: hostOf(url), port, lookup: guardedLookup(rules, port) });
  const onAbort = (): void => void socket.destroy(asError(signal.reason));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
