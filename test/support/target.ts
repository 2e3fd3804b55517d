/** The suite's own PostgreSQL server as a target of deployments. */
import { createLog, systemClock } from '../../src/base/base.ts';
import type { ServerAddress } from '../../src/ext/deployment-types.ts';
import type { Host } from '../../src/ext/host/host.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { openServer, type TargetServer } from '../../src/ext/server/server.ts';
import { adminUrl } from './postgres.ts';

export function suiteAddress(database: string): ServerAddress {
  const url = new URL(adminUrl());
  return {
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
  };
}

export function databaseName(url: string): string {
  return new URL(url).pathname.slice(1);
}

export async function openSuiteServer(
  database: string,
  host: Host = openLocalHost(),
): Promise<TargetServer> {
  return await openServer(host, suiteAddress(database), {
    log: createLog({ level: 'silent' }),
    clock: systemClock,
  });
}
