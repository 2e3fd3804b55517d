/** The learning API on a port of its own, for clients that know it there. It asks what the bridge asks. */
import type { AddressInfo } from 'node:net';
import { AppError } from '../base/base.ts';
import { createGuard, displayHost } from './guard.ts';
import { createHttp } from './http.ts';
import { createInsiders } from './insiders.ts';
import { learningFaceRoutes } from './learning-face-routes.ts';
import type { LearningFaceOptions } from './learning-parts.ts';
import { closeWithin, listen } from './listening.ts';

export type { LearningFaceOptions } from './learning-parts.ts';

export interface LearningFace {
  /** Where it is, or why there is none. */
  readonly state: { readonly url: string } | { readonly reason: string };
  /** Whether requests that change something are taken; not so until it was called with true. */
  ready(isReady: boolean): void;
  /** As the bridge closes. Safe to call twice. */
  close(hurry?: AbortSignal): Promise<void>;
}

/**
 * Listens for HTTP on `learningPort`. Where nobody set that port and it is taken, the server starts
 * without this face, and `state` says who holds it. Throws as `startBridge` otherwise.
 */
export async function startLearningFace(options: LearningFaceOptions): Promise<LearningFace> {
  const { clock, config, identity, log, publicAddress } = options;
  const { bridgeHost: host, learningPort, shutdownGraceMs: graceMs } = config.values;
  const closing = new AbortController();
  const state = { ready: false, port: learningPort };
  const origin = () => `http://${displayHost(host)}:${state.port}`;
  const isReady = () => state.ready && !closing.signal.aborted;
  const guard = createGuard({
    identity,
    host,
    port: () => state.port,
    publicUrl: publicAddress.url,
    origin,
    clock,
  });
  const app = createHttp({
    guard,
    insiders: createInsiders(),
    identity,
    publicUrl: publicAddress.url,
    answersAccess: false,
    log,
    isReady,
  });
  learningFaceRoutes(app, { ...options, isReady });
  try {
    await listen(app, { host, port: learningPort, setting: 'learningPort' });
  } catch (error) {
    const isChosen = config.origins.learningPort.origin !== 'default';
    if (isChosen || !(error instanceof AppError) || error.code !== 'port_in_use') throw error;
    log.warn({ reason: error.message }, 'the learning API is not served: its port is taken');
    return absent(error.message);
  }
  state.port = (app.server.address() as AddressInfo).port;
  // Without a bridge in this process, this is where it is reached.
  if (publicAddress.url() === '') publicAddress.listensOn(origin());
  log.info({ url: origin() }, 'learning API listens');

  let closed: Promise<void> | undefined;
  return {
    state: { url: origin() },
    ready(ready) {
      state.ready = ready;
    },
    close(hurry) {
      closed ??= closeWithin(app, closing, { graceMs, hurry, clock, log });
      return closed;
    },
  };
}

function absent(reason: string): LearningFace {
  return {
    state: { reason },
    ready: () => undefined,
    close: () => Promise.resolve(),
  };
}
