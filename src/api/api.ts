/** The bridge: Centuria over HTTP. Each route is one operation of a part; nothing is decided here. */
import type { AddressInfo } from 'node:net';
import { a2aRoutes } from './a2a-routes.ts';
import { agentRoutes } from './agent-routes.ts';
import { agentToolRoutes } from './agent-tool-routes.ts';
import { attemptRoutes } from './attempt-routes.ts';
import { apiKeyRoutes } from './api-key-routes.ts';
import { bridgeRoutes } from './bridge-routes.ts';
import { createEventStreams } from './event-stream.ts';
import { failureRoutes } from './failure-routes.ts';
import { createGuard, displayHost } from './guard.ts';
import { createHttp, type Http } from './http.ts';
import { createPublicAddress } from './public-address.ts';
import { registerOpenapi } from './openapi.ts';
import { oauthPageRoutes } from './oauth-page-routes.ts';
import { oauthRoutes } from './oauth-routes.ts';
import { createInsiders, type Insiders } from './insiders.ts';
import { bridgeOffer } from './mcp-bridge-offer.ts';
import { collectOperations } from './mcp-operations.ts';
import { mcpRoutes } from './mcp-routes.ts';
import { learningRoutes } from './learning-routes.ts';
import { limitRoutes } from './limit-routes.ts';
import { closeWithin, listen } from './listening.ts';
import { pageRoutes } from './page.ts';
import { createPlaces } from './places.ts';
import { principalRoutes } from './principal-routes.ts';
import { roleRoutes } from './role-routes.ts';
import { runRoutes } from './run-routes.ts';
import { scheduleRoutes } from './schedule-routes.ts';
import { securityRoutes } from './security-routes.ts';
import { selfRoutes } from './self-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { signInRoutes } from './sign-in-routes.ts';
import { systemRoutes } from './system-routes.ts';
import type { BridgeParts, RouteParts } from './parts.ts';

export type { BridgeParts } from './parts.ts';
export { startLearningFace, type LearningFace, type LearningFaceOptions } from './learning-face.ts';
export { createPublicAddress, type PublicAddress } from './public-address.ts';
export type { FieldError, ProblemDocument } from './problem.ts';
export type * from './agent-tool-schemas.ts';
export type * from './attempt-schemas.ts';
export type * from './identity-requests.ts';
export type * from './identity-schemas.ts';
export type * from './run-event-schemas.ts';
export type * from './learning-schemas.ts';
export type * from './limit-schemas.ts';
export type * from './failure-schemas.ts';
export type * from './run-schemas.ts';
export type * from './schedule-schemas.ts';
export type * from './schemas.ts';
export type * from './workflow-schemas.ts';

const mostLongPolls = 256;
/** Each call by hand is a process or more. */
const mostInvocations = 32;

export interface Bridge {
  readonly url: string;
  readonly port: number;
  /**
   * Stops accepting, ends streams and long polls, and lets requests finish within
   * `shutdownGraceMs`; aborting `hurry` ends that wait. Safe to call twice.
   */
  close(hurry?: AbortSignal): Promise<void>;
  /** Whether requests that change something are taken; not so until it was called with true. */
  ready(isReady: boolean): void;
  /** A link that opens one browser session, once, within five minutes. */
  loginLink(): string;
}

/**
 * Listens for HTTP; `offerOf` makes of the routes what is offered over MCP. Throws `port_in_use`,
 * `denied` for a port of the system, `config_invalid` for an address that is not this machine's.
 */
export async function startBridge(
  options: BridgeParts,
  offerOf: typeof bridgeOffer = bridgeOffer,
): Promise<Bridge> {
  const { config, log, clock } = options;
  const { bridgeHost: host, bridgePort } = config.values;
  const closing = new AbortController();
  const state = { ready: false, port: bridgePort };
  const origin = () => `http://${displayHost(host)}:${state.port}`;
  const guard = createGuard({
    identity: options.identity,
    host,
    port: () => state.port,
    publicUrl: options.publicAddress.url,
    clock,
  });
  const loginLink = () => `${origin()}/login?code=${guard.loginCode()}`;

  const insiders = createInsiders();
  const app = createHttp({
    guard,
    insiders,
    identity: options.identity,
    publicUrl: options.publicAddress.url,
    answersAccess: true,
    log,
    isReady: () => state.ready && !closing.signal.aborted,
  });
  const routeParts: RouteParts = {
    ...options,
    guard,
    loginLink,
    isReady: () => state.ready && !closing.signal.aborted,
    closing: closing.signal,
    streams: createEventStreams({ clock, log, closing: closing.signal }),
    longPolls: createPlaces('long polls', mostLongPolls),
    invocations: createPlaces('calls of agents', mostInvocations),
  };
  await addRoutes(app, routeParts, insiders, offerOf);
  await listen(app, { host, port: bridgePort, setting: 'bridgePort' });
  state.port = (app.server.address() as AddressInfo).port;
  options.publicAddress.listensOn(origin());
  log.info({ url: origin() }, 'bridge listens');

  let closed: Promise<void> | undefined;
  return {
    url: origin(),
    port: state.port,
    loginLink,
    ready(isReady) {
      state.ready = isReady;
    },
    close(hurry) {
      closed ??= closeWithin(app, closing, {
        graceMs: config.values.shutdownGraceMs,
        hurry,
        clock,
        log,
      });
      return closed;
    },
  };
}

/** The OpenAPI document of all routes, without a server: what `docs/reference` is generated from. */
export async function openapiDocument(version: string): Promise<object> {
  // Routes only keep their parts for when they are called, and nothing is called here.
  const parts = { version, identity: {}, publicAddress: createPublicAddress('') } as RouteParts;
  const insiders = createInsiders();
  const app = createHttp({
    guard: parts.guard,
    insiders,
    identity: parts.identity,
    publicUrl: parts.publicAddress.url,
    answersAccess: true,
    log: parts.log,
    isReady: () => false,
  });
  await addRoutes(app, parts, insiders, bridgeOffer);
  await app.ready();
  return app.swagger();
}

async function addRoutes(
  app: Http,
  parts: RouteParts,
  insiders: Insiders,
  offerOf: typeof bridgeOffer,
): Promise<void> {
  await registerOpenapi(app, parts.version);
  const operations = collectOperations(app);
  pageRoutes(app, parts.guard);
  bridgeRoutes(app, parts);
  systemRoutes(app, parts);
  agentRoutes(app, parts);
  agentToolRoutes(app, parts);
  attemptRoutes(app, parts);
  runRoutes(app, parts);
  limitRoutes(app, parts);
  learningRoutes(app, parts);
  failureRoutes(app, parts);
  scheduleRoutes(app, parts);
  signInRoutes(app, parts);
  selfRoutes(app, parts);
  principalRoutes(app, parts);
  roleRoutes(app, parts);
  sessionRoutes(app, parts);
  apiKeyRoutes(app, parts);
  securityRoutes(app, parts);
  oauthRoutes(app, parts);
  oauthPageRoutes(app, parts);
  mcpRoutes(app, parts, offerOf(operations), operations, insiders);
  a2aRoutes(app, parts);
  app.get(
    '/openapi.json',
    {
      config: { action: 'self' },
      schema: {
        tags: ['system'],
        operationId: 'getOpenapi',
        summary: 'This document.',
      },
    },
    async () => app.swagger(),
  );
  await app.ready();
}
