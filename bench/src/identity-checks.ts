/** Checks of a token through HTTP with revocation on, and how soon a revocation is felt. */
import type { Measured } from './report.ts';
import type { Session } from './identity-data.ts';
import { assertAll, load, percentile, requestText, type Load } from './identity-load.ts';
import type { BridgeServer, MeasuredServer, PeerServer } from './identity-servers.ts';

/** The question of a door, answered from memory. */
const path = '/api/v1/me/access?action=agents.read';
const atOnce = 32;
const checksMs = 4_000;
const warmUpMs = 1_500;
/** Tokens that take turns where they are known already. */
const knownTokens = 1_000;

export interface CheckSeries {
  readonly cached: number[];
  readonly cachedCpuUs: number[];
  readonly cachedP99Ms: number[];
  readonly uncached: number[];
  readonly uncachedCpuUs: number[];
  readonly me: number[];
  readonly peer: number[];
  readonly peerCpuUs: number[];
}

export const checkSeries = (): CheckSeries => ({
  cached: [],
  cachedCpuUs: [],
  cachedP99Ms: [],
  uncached: [],
  uncachedCpuUs: [],
  me: [],
  peer: [],
  peerCpuUs: [],
});

const bearer = (token: string, to = path): Buffer =>
  requestText({ path: to, headers: { authorization: `Bearer ${token}` } });

/** `fresh` tokens were never shown to this server before; each is shown once. */
export async function checkRound(
  series: CheckSeries,
  bridge: BridgeServer,
  tokens: { readonly known: readonly Session[]; readonly fresh: readonly Session[] },
  peer: PeerServer | string,
): Promise<void> {
  const unseen = tokens.fresh.map(({ token }) => bearer(token)).values();
  const uncached = await timed(bridge, () => unseen.next().value, checksMs);
  series.uncached.push(uncached.perSecond);
  series.uncachedCpuUs.push(uncached.cpuUs);

  const known = tokens.known.slice(0, knownTokens);
  const requests = inTurn(known.map(({ token }) => bearer(token)));
  await timed(bridge, requests, warmUpMs);
  const cached = await timed(bridge, requests, checksMs);
  series.cached.push(cached.perSecond);
  series.cachedCpuUs.push(cached.cpuUs);
  series.cachedP99Ms.push(percentile(cached.latenciesMs, 0.99));

  const me = inTurn(known.map(({ token }) => bearer(token, '/api/v1/me')));
  series.me.push((await timed(bridge, me, checksMs / 2)).perSecond);
  if (typeof peer === 'string') return;
  const sessions = inTurn(
    peer.cookies.map((cookie) =>
      requestText({ path: '/api/auth/get-session', headers: { cookie } }),
    ),
  );
  const theirs = await timed(peer, sessions, checksMs);
  series.peer.push(theirs.perSecond);
  series.peerCpuUs.push(theirs.cpuUs);
}

async function timed(
  server: MeasuredServer,
  next: () => Buffer | undefined,
  forMs: number,
): Promise<Load & { readonly cpuUs: number }> {
  const before = server.cpuUs();
  const result = await load({ port: server.port, connections: atOnce, next, forMs });
  const used = server.cpuUs() - before;
  assertAll(result, 200, 'checks');
  return { ...result, cpuUs: used / result.answers };
}

function inTurn(requests: readonly Buffer[]): () => Buffer | undefined {
  let turn = 0;
  return () => requests[(turn += 1) % requests.length];
}

export function checkFigures(
  series: CheckSeries,
  peerName: string,
  peer: PeerServer | string,
): Measured[] {
  const none = typeof peer === 'string' ? { name: peerName, unavailable: peer } : undefined;
  const beside = (values: readonly number[]) => none ?? { name: peerName, values };
  return [
    {
      metric: 'cached_checks_per_s',
      unit: '1/s',
      values: series.cached,
      peer: beside(series.peer),
      target: { atLeast: 24_000 },
    },
    {
      metric: 'cached_check_cpu_us',
      unit: 'µs',
      values: series.cachedCpuUs,
      peer: beside(series.peerCpuUs),
    },
    { metric: 'cached_check_p99_ms', unit: 'ms', values: series.cachedP99Ms },
    {
      metric: 'uncached_checks_per_s',
      unit: '1/s',
      values: series.uncached,
      peer: beside(series.peer),
    },
    {
      metric: 'uncached_check_cpu_us',
      unit: 'µs',
      values: series.uncachedCpuUs,
      peer: beside(series.peerCpuUs),
    },
    { metric: 'me_per_s', unit: '1/s', values: series.me, peer: beside(series.peer) },
  ];
}

const askingLimitMs = 5_000;

/**
 * Milliseconds from sending the request that ends a session until a client that asks all the time
 * with its token is refused: of each session, at `asked` when it is ended at `ended`.
 */
export async function revocationTimes(
  ended: BridgeServer,
  asked: BridgeServer,
  sessions: readonly Session[],
): Promise<number[]> {
  const times: number[] = [];
  for (const session of sessions) times.push(await revocationTime(ended, asked, session));
  return times.toSorted((a, b) => a - b);
}

async function revocationTime(
  ended: BridgeServer,
  asked: BridgeServer,
  { sessionId, token }: Session,
): Promise<number> {
  const question = bearer(token);
  const end = requestText({
    method: 'DELETE',
    path: `/api/v1/sessions/${sessionId}`,
    headers: { authorization: `Bearer ${ended.token}` },
  });
  let sentMs = Number.NaN;
  let refusedMs = Number.NaN;
  let letIn = 0;
  let ending: Promise<Load> | undefined;
  await load({
    port: asked.port,
    connections: 1,
    forMs: askingLimitMs,
    next: () => (Number.isNaN(refusedMs) ? question : undefined),
    onAnswer(status, atMs) {
      if (status === 401) refusedMs = atMs;
      else letIn += 1;
      // It has to be in memory first, or its refusal would show nothing.
      if (letIn !== 3 || ending !== undefined) return;
      sentMs = performance.now();
      let rest: Buffer | undefined = end;
      const next = (): Buffer | undefined => {
        const one = rest;
        rest = undefined;
        return one;
      };
      ending = load({ port: ended.port, connections: 1, forMs: askingLimitMs, next });
    },
  });
  if (ending !== undefined) assertAll(await ending, 204, 'ending a session');
  if (!(refusedMs > sentMs)) throw new Error('a session that was ended was never refused');
  return refusedMs - sentMs;
}

export function revocationFigure(
  where: string,
  sorted: readonly number[],
  atMost: number,
): Measured {
  return {
    metric: `revocation_to_refusal_${where}_p99_ms`,
    unit: 'ms',
    values: [percentile(sorted, 0.99)],
    target: { atMost },
  };
}
