/** What is decided and verified within a process, without any door: our question, and tokens. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { Measured } from './report.ts';
import { authorize, type Access, type Action, type Caller } from '../../src/identity/identity.ts';
import { signCompact, verifyCompact } from '../../src/identity/jws.ts';
import { allBits, maskOfActions } from '../../src/identity/permissions.ts';
import { percentile } from './identity-load.ts';
import { missingPeer, peerVersion } from './peers.ts';

const callsForMs = 500;
const singleCalls = 200_000;
const verifyForMs = 700;

/** Callers, actions and resources in turn, so that no branch is always the same. */
function questions(): { caller: Caller; action: Action; resource: string }[] {
  const everything = maskOfActions([
    'agents.read',
    'agents.execute',
    'workflows.read',
    'runs.read',
  ]);
  const few = maskOfActions(['agents.read']);
  const patterns = [
    { resourceType: 'agents', pattern: 'spell*', mask: maskOfActions(['agents.execute']) },
  ];
  const asked: [Action, string][] = [
    ['agents.read', 'spelling'],
    ['agents.execute', 'spelling'],
    ['users.write', 'somebody'],
    ['runs.read', 'review'],
  ];
  const callers = [callerWith(everything, []), callerWith(few, []), callerWith(few, patterns)];
  // Three of four are let in everywhere, as in a fleet; the others are refused or go by a pattern.
  const often = [
    callers[0],
    callers[0],
    callers[0],
    callers[1],
    callers[0],
    callers[0],
    callers[0],
    callers[2],
  ];
  return often.flatMap((caller) =>
    caller === undefined ? [] : asked.map(([action, resource]) => ({ caller, action, resource })),
  );
}

function callerWith(everywhere: Access['everywhere'], grants: Access['grants']): Caller {
  return {
    access: {
      userId: '00000000-0000-7000-8000-000000000000',
      username: 'bench',
      kind: 'user',
      roles: ['guest'],
      mustChangePassword: false,
      roleLevel: 5,
      everywhere,
      bitmask: everywhere,
      grants,
      validUntilMs: Infinity,
      isCurrent: true,
    },
    kind: 'token',
    id: 'session:bench',
    sessionId: undefined,
    within: allBits,
    actor: undefined,
    audience: undefined,
    untilMs: Infinity,
    limit: undefined,
  };
}

/** Kept, so that no call is left out for having no effect. */
let letIn = 0;

function askFor(
  list: readonly { caller: Caller; action: Action; resource: string }[],
  rounds: number,
): void {
  for (let round = 0; round < rounds; round += 1) {
    for (const { caller, action, resource } of list) {
      if (authorize(caller, action, resource).allowed) letIn += 1;
    }
  }
}

export function authorizeFigures(repeats: number): Measured[] {
  const all = questions();
  const granted = all.filter(
    ({ caller, action, resource }) => authorize(caller, action, resource).allowed,
  );
  const perSecond = { all: [] as number[], granted: [] as number[] };
  const p99: number[] = [];
  const clock: number[] = [];
  askFor(all, 20_000);
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    perSecond.granted.push(callsPerSecond(granted));
    perSecond.all.push(callsPerSecond(all));
    const empty = singleNs(undefined);
    const own = empty[empty.length >> 1] ?? 0;
    clock.push(own);
    p99.push(Math.max(0, percentile(singleNs(all), 0.99) - own));
  }
  if (letIn === 0) throw new Error('nobody was let in');
  return [
    {
      metric: 'authorize_per_s',
      unit: '1/s',
      values: perSecond.all,
      target: { atLeast: 5_000_000 },
    },
    { metric: 'authorize_granted_per_s', unit: '1/s', values: perSecond.granted },
    {
      metric: 'authorize_single_call_p99_beside_clock_ns',
      unit: 'ns',
      values: p99,
      target: { atMost: 200 },
    },
    { metric: 'clock_pair_median_ns', unit: 'ns', values: clock },
  ];
}

function callsPerSecond(list: Parameters<typeof askFor>[0]): number {
  const beganMs = performance.now();
  let calls = 0;
  while (performance.now() - beganMs < callsForMs) {
    askFor(list, 1_000);
    calls += list.length * 1_000;
  }
  return (calls * 1_000) / (performance.now() - beganMs);
}

/**
 * Each call between two readings of the clock, sorted; without a list, the readings alone. What the
 * clock costs is in every value: its median is what a caller subtracts.
 */
function singleNs(list: Parameters<typeof askFor>[0] | undefined): Float64Array {
  const times = new Float64Array(singleCalls);
  for (let call = 0; call < singleCalls; call += 1) {
    const one = list?.[call % list.length];
    const before = process.hrtime.bigint();
    if (one !== undefined && authorize(one.caller, one.action, one.resource).allowed) letIn += 1;
    times[call] = Number(process.hrtime.bigint() - before);
  }
  return times.toSorted();
}

/** ES256 verifications a second on one core, of one token again and again, nothing cached. */
export async function verifyFigures(): Promise<Measured[]> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = {
    kid: 'bench',
    algorithm: 'ES256',
    key: createPublicKey(privateKey),
    privateKey,
    untilMs: Number.POSITIVE_INFINITY,
  } as const;
  const now = Math.floor(Date.now() / 1_000);
  const payload = { iss: 'bench', aud: 'bench', sub: 'somebody', iat: now, exp: now + 3_600 };
  const token = signCompact({ key, typ: 'at+jwt', payload });
  const ours = await verificationsPerSecond(() =>
    verifyCompact(token, { typ: 'at+jwt', find: () => key, nowMs: Date.now() }),
  );
  const beside = async (
    name: string,
    verifier: () => Promise<() => unknown>,
  ): Promise<Measured> => {
    const missing = missingPeer(name);
    const peer =
      missing === undefined
        ? { name: peerVersion(name), values: [await verificationsPerSecond(await verifier())] }
        : { name, unavailable: missing };
    return { metric: 'es256_verifications_per_s', unit: '1/s', values: [ours], peer };
  };
  return [
    await beside('jose', async () => {
      const { jwtVerify } = (await import('jose')) as {
        jwtVerify(token: string, key: unknown, options: object): Promise<unknown>;
      };
      return () => jwtVerify(token, publicKey, { issuer: 'bench', audience: 'bench' });
    }),
    await beside('fast-jwt', async () => {
      const name: string = 'fast-jwt';
      const { createVerifier } = (await import(name)) as {
        createVerifier(options: object): (token: string) => unknown;
      };
      const pem = publicKey.export({ type: 'spki', format: 'pem' });
      const verify = createVerifier({ key: pem, allowedIss: 'bench', allowedAud: 'bench' });
      return () => verify(token);
    }),
  ];
}

async function verificationsPerSecond(verify: () => unknown): Promise<number> {
  for (let warm = 0; warm < 500; warm += 1) await verify();
  const beganMs = performance.now();
  let count = 0;
  while (performance.now() - beganMs < verifyForMs) {
    for (let one = 0; one < 50; one += 1) {
      const verified = verify();
      // Waiting for what is no promise would be counted against those that answer at once.
      if (verified instanceof Promise) await verified;
    }
    count += 50;
  }
  return (count * 1_000) / (performance.now() - beganMs);
}
