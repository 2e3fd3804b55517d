/** Password logins beside what hashing alone could do, and whether their time tells who is known. */
import { hashRaw } from '@node-rs/argon2';
import type { Measured } from './report.ts';
import { hashCosts, password, userName, wrongPassword } from './identity-data.ts';
import { assertAll, load, percentile, requestText } from './identity-load.ts';
import type { BridgeServer, PeerServer } from './identity-servers.ts';

/** As many at a time as the product hashes on this machine's two processors. */
const hashesAtOnce = 2;
const loginsAtOnce = 16;
const rawMs = 2_000;
const loginsMs = 4_000;
/** Known users that take turns; each has as many tries as no measurement uses up. */
const takingTurns = 200;

export interface LoginSeries {
  readonly raw: number[];
  readonly logins: number[];
  readonly share: number[];
  readonly cpuMs: number[];
  readonly p99Ms: number[];
  readonly peer: number[];
}

export const loginSeries = (): LoginSeries => ({
  raw: [],
  logins: [],
  share: [],
  cpuMs: [],
  p99Ms: [],
  peer: [],
});

/** Raw hashes before and after the logins, so that a neighbour's load falls on both. */
export async function loginRound(
  series: LoginSeries,
  bridge: BridgeServer,
  peer: PeerServer | string,
): Promise<void> {
  const before = await rawHashes();
  let turn = 0;
  const requests = Array.from({ length: takingTurns }, (_, index) =>
    requestText({
      method: 'POST',
      path: '/api/v1/login',
      body: { username: userName(index + 1), password, as: 'client' },
    }),
  );
  const next = () => requests[(turn += 1) % requests.length];
  const cpuUs = bridge.cpuUs();
  const ours = await load({ port: bridge.port, connections: loginsAtOnce, next, forMs: loginsMs });
  assertAll(ours, 200, 'logins');
  const usedUs = bridge.cpuUs() - cpuUs;
  const after = await rawHashes();
  const raw = (before + after) / 2;
  series.raw.push(raw);
  series.logins.push(ours.perSecond);
  series.share.push((100 * ours.perSecond) / raw);
  series.cpuMs.push(usedUs / 1_000 / ours.answers);
  series.p99Ms.push(percentile(ours.latenciesMs, 0.99));
  if (typeof peer !== 'string') series.peer.push(await peerLogins(peer));
}

async function peerLogins(peer: PeerServer): Promise<number> {
  let turn = 0;
  const requests = peer.cookies.map((_, index) =>
    requestText({
      method: 'POST',
      path: '/api/auth/sign-in/email',
      body: { email: `peer-${index + 1}@example.org`, password },
    }),
  );
  const next = () => requests[(turn += 1) % requests.length];
  const theirs = await load({ port: peer.port, connections: loginsAtOnce, next, forMs: loginsMs });
  assertAll(theirs, 200, 'sign-ins of better-auth');
  return theirs.perSecond;
}

async function rawHashes(): Promise<number> {
  const beganMs = performance.now();
  let count = 0;
  const one = async (): Promise<void> => {
    while (performance.now() - beganMs < rawMs) {
      await hashRaw(password, { ...hashCosts, salt: new Uint8Array(16) });
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: hashesAtOnce }, one));
  return (count * 1_000) / (performance.now() - beganMs);
}

export function loginFigures(
  series: LoginSeries,
  peerName: string,
  peer: PeerServer | string,
): Measured[] {
  const { raw, logins, share, cpuMs, p99Ms } = series;
  const none = typeof peer === 'string' ? { name: peerName, unavailable: peer } : undefined;
  const beside = (values: readonly number[]) => none ?? { name: peerName, values };
  const peerShare = series.peer.map((value, index) => (100 * value) / (raw[index] ?? Number.NaN));
  return [
    { metric: 'argon2id_raw_per_s', unit: '1/s', values: raw },
    { metric: 'password_logins_per_s', unit: '1/s', values: logins, peer: beside(series.peer) },
    {
      metric: 'password_logins_of_raw',
      unit: '%',
      values: share,
      peer: beside(peerShare),
      target: { atLeast: 90 },
    },
    { metric: 'password_login_cpu_ms', unit: 'ms', values: cpuMs },
    { metric: 'password_login_p99_ms', unit: 'ms', values: p99Ms },
  ];
}

/** Pairs of tries, one with a known name and one with an unknown one, in turn the first. */
const pairs = 1_000;

/**
 * How well the time of a refusal tells a known name from an unknown one: the area under the curve,
 * 0.5 when it tells nothing, and never below since whoever guesses may guess the other way round.
 */
export async function timingFigures(bridge: BridgeServer): Promise<Measured[]> {
  const times: { known: number[]; unknown: number[] } = { known: [], unknown: [] };
  const order = Array.from({ length: pairs * 2 }, (_, index) => {
    const pair = index >> 1;
    const isKnown = (index & 1) === (pair & 1);
    const username = isKnown ? userName(takingTurns + 1 + pair) : `nobody-${pair}`;
    const body = { username, password: wrongPassword, as: 'client' };
    return { isKnown, text: requestText({ method: 'POST', path: '/api/v1/login', body }) };
  });
  let sent = 0;
  let answered = 0;
  let beforeMs = 0;
  const result = await load({
    port: bridge.port,
    connections: 1,
    forMs: 120_000,
    next() {
      const text = order[sent]?.text;
      sent += 1;
      beforeMs = performance.now();
      return text;
    },
    onAnswer(_status, atMs) {
      const kind = order[answered]?.isKnown === true ? 'known' : 'unknown';
      times[kind].push(atMs - beforeMs);
      answered += 1;
    },
  });
  assertAll(result, 401, 'wrong passwords');
  const area = areaUnderCurve(times.known, times.unknown);
  return [
    {
      metric: 'known_names_told_by_time_auc',
      unit: '',
      values: [Math.max(area, 1 - area)],
      target: { atMost: 0.53 },
    },
  ];
}

/** The share of pairs in which the first is greater; equal ones count half. */
export function areaUnderCurve(first: readonly number[], second: readonly number[]): number {
  let greater = 0;
  for (const one of first) {
    for (const other of second) greater += one > other ? 1 : one === other ? 0.5 : 0;
  }
  return greater / (first.length * second.length);
}
