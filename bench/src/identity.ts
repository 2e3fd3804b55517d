/**
 * What identity costs: password logins beside the raw hash, checks of tokens through HTTP with
 * revocation on, the time until a revocation is felt, the question of every door, and the database's
 * own part. One PostgreSQL 17 with its defaults of durability, servers as processes of their own,
 * better-auth, jose and fast-jwt beside us in the same call.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/base.ts';
import {
  cacheFolder,
  installPostgres,
  migrate,
  openDatabase,
  startPostgres,
  type Database,
} from '../../src/database/database.ts';
import {
  checkFigures,
  checkRound,
  checkSeries,
  revocationFigure,
  revocationTimes,
} from './identity-checks.ts';
import { addSessions, addUsers, log, type Session } from './identity-data.ts';
import { load, requestText } from './identity-load.ts';
import { loginFigures, loginRound, loginSeries, timingFigures } from './identity-logins.ts';
import { authorizeFigures, verifyFigures } from './identity-memory.ts';
import { rotationFigures } from './identity-rotation.ts';
import {
  startCenturia,
  startPeer,
  type BridgeServer,
  type PeerServer,
} from './identity-servers.ts';
import { mostConnections, sqlFigures, type PgbenchPlace } from './identity-sql.ts';
import { missingPeer, peerVersion } from './peers.ts';
import type { Measured, MeasureOptions } from './report.ts';

const defaultRepeats = 3;
const migrations = join(import.meta.dirname, '../../migrations');
const peerUsers = 50;
const knownSessions = 1_000;
/** More than a round can use up. */
const freshSessions = 20_000;
const revocations = 250;
const heldClients = 1_000;
const leastServed = 20;

interface Place extends PgbenchPlace {
  readonly database: Database;
  readonly phc: string;
  readonly masterKey: Uint8Array;
  readonly home: string;
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const times = repeats ?? defaultRepeats;
  progress('the question of every door, and tokens, within one process');
  const inProcess = [...authorizeFigures(times), ...(await verifyFigures())];
  const home = mkdtempSync(join(tmpdir(), 'centuria-bench-'));
  // As root the server runs as another user, who has to get through to its own folder.
  chmodSync(home, 0o711);
  try {
    return [...inProcess, ...(await onPostgres(home, times, progress))];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function onPostgres(
  home: string,
  times: number,
  progress: MeasureOptions['progress'],
): Promise<Measured[]> {
  const install = await installPostgres({ major: 17, cacheFolder: cacheFolder(process.env), log });
  const settings = { max_connections: mostConnections, shared_buffers: '256MB' };
  const server = await startPostgres(install, { folder: join(home, 'pg'), port: 0, settings, log });
  const database = await openDatabase({
    url: server.url,
    home,
    poolSize: 4,
    log,
    clock: systemClock,
  });
  try {
    progress('making 20,000 users');
    await migrate(database, { folder: migrations, log, clock: systemClock });
    const phc = await addUsers(database);
    await database.script('create database peer');
    const { binFolder } = install;
    const masterKey = randomBytes(32);
    const { url, pid } = server;
    return await onServers(
      { database, phc, masterKey, home, binFolder, url, pid, folder: home },
      times,
      progress,
    );
  } finally {
    await database.close();
    await server.stop();
  }
}

async function onServers(
  place: Place,
  times: number,
  progress: MeasureOptions['progress'],
): Promise<Measured[]> {
  const { database, masterKey, home, url: databaseUrl } = place;
  progress('starting two bridges and better-auth');
  const bridge = await startCenturia({ home: join(home, 'one'), databaseUrl, masterKey });
  const other = await startCenturia({ home: join(home, 'two'), databaseUrl, masterKey });
  const peer = await peerOrReason(databaseUrl);
  try {
    const known = await addSessions(database, masterKey, knownSessions);
    const servers = { bridge, other, peer, known };
    const parts: [string, () => Promise<Measured[]>][] = [
      ['logins and checks', () => throughHttp(place, servers, times, progress)],
      ['revocations', () => revocationFigures(place, servers)],
      ['keys that change every second', () => rotationFigures({ ...place, migrations }, progress)],
      [`${heldClients} clients held open`, () => heldFigures(bridge, known)],
      ['whether the time of a refusal tells who is known', () => timingFigures(bridge)],
      ['the database alone, by pgbench', () => sqlFigures(place, place.phc)],
    ];
    const figures: Measured[] = [];
    for (const [name, part] of parts) {
      progress(name);
      figures.push(...(await part().catch((error: unknown) => notMeasured(name, error, progress))));
    }
    return figures;
  } finally {
    await Promise.all([
      bridge.stop(),
      other.stop(),
      typeof peer === 'string' ? undefined : peer.stop(),
    ]);
  }
}

interface Servers {
  readonly bridge: BridgeServer;
  readonly other: BridgeServer;
  readonly peer: PeerServer | string;
  readonly known: readonly Session[];
}

/** The other parts are still worth having; the run as a whole has not met what it should. */
function notMeasured(
  name: string,
  error: unknown,
  progress: MeasureOptions['progress'],
): Measured[] {
  progress(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  return [{ metric: name.replaceAll(' ', '_'), unit: '', values: [], target: { atLeast: 1 } }];
}

async function throughHttp(
  { database, masterKey }: Place,
  { bridge, peer, known }: Servers,
  times: number,
  progress: MeasureOptions['progress'],
): Promise<Measured[]> {
  const logins = loginSeries();
  const checks = checkSeries();
  for (let turn = 1; turn <= times; turn += 1) {
    progress(`logins and checks, ${turn} of ${times}`);
    await loginRound(logins, bridge, peer);
    const fresh = await addSessions(database, masterKey, freshSessions);
    await checkRound(checks, bridge, { known, fresh }, peer);
  }
  const name = peerVersion('better-auth');
  return [
    ...loginFigures(logins, `${name}, sign-in`, peer),
    ...checkFigures(checks, `${name}, get-session`, peer),
  ];
}

async function peerOrReason(databaseUrl: string): Promise<PeerServer | string> {
  const missing = missingPeer('better-auth');
  if (missing !== undefined) return missing;
  const url = new URL(databaseUrl);
  url.pathname = '/peer';
  try {
    return await startPeer(url.href, peerUsers);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function revocationFigures(
  { database, masterKey }: Place,
  { bridge, other }: Servers,
): Promise<Measured[]> {
  const sessions = await addSessions(database, masterKey, 2 * revocations);
  const here = await revocationTimes(bridge, bridge, sessions.slice(0, revocations));
  const there = await revocationTimes(bridge, other, sessions.slice(revocations));
  return [
    revocationFigure('in_one_process', here, 50),
    revocationFigure('across_two_processes', there, 250),
  ];
}

async function heldFigures(
  bridge: BridgeServer,
  sessions: readonly Session[],
): Promise<Measured[]> {
  let turn = 0;
  const requests = sessions.map(({ token }) =>
    requestText({
      path: '/api/v1/me/access?action=agents.read',
      headers: { authorization: `Bearer ${token}` },
    }),
  );
  const next = () => requests[(turn += 1) % requests.length];
  const { statuses, leastServed: least } = await load({
    port: bridge.port,
    connections: heldClients,
    forMs: 2_000,
    leastEach: leastServed,
    next,
  });
  const isServed = [...statuses.keys()].join() === '200' && least >= leastServed;
  return [
    {
      metric: 'clients_held_and_served',
      unit: '',
      values: isServed ? [heldClients] : [],
      target: { atLeast: heldClients },
    },
    { metric: 'answers_to_the_least_served_client', unit: '', values: [least] },
  ];
}
