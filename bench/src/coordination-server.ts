/** The one PostgreSQL 17 of a call, and a database of its own for whoever needs one. */
import { join } from 'node:path';
import { createLog, systemClock } from '../../src/base/base.ts';
import {
  cacheFolder,
  installPostgres,
  openDatabase,
  startPostgres,
  type Database,
  type Sql,
} from '../../src/database/database.ts';

const log = createLog({ level: 'error' });

export interface Place {
  readonly home: string;
  /** Makes a database; its number makes it another one than every earlier one of that name. */
  fresh(name: string): Promise<OwnDatabase>;
  /** In the superuser's own database. */
  query<Row>(statement: Sql<Row>): Promise<Row[]>;
}

export interface OwnDatabase {
  readonly name: string;
  readonly url: string;
  /** A folder for what uses it; nobody has made it yet. */
  readonly home: string;
  /** A connection for looking on. */
  open(): Promise<Database>;
  drop(): Promise<void>;
}

/** Durability is on, as it is by default; connections suffice for all engines together. */
const settings = { max_connections: 200, shared_buffers: '256MB' };

/** Runs `work` on a server in `home`; with `extra` settings, after the same data folder was used before. */
export async function withServer<T>(
  home: string,
  extra: Readonly<Record<string, string>>,
  work: (place: Place) => Promise<T>,
): Promise<T> {
  const install = await installPostgres({ major: 17, cacheFolder: cacheFolder(process.env), log });
  const server = await startPostgres(install, {
    folder: join(home, 'pg'),
    port: 0,
    settings: { ...settings, ...extra },
    log,
  });
  const open = (url: string): Promise<Database> =>
    openDatabase({ url, home, poolSize: 2, log, clock: systemClock });
  const admin = await open(server.url);
  let number = 0;
  try {
    return await work({
      home,
      query: (statement) => admin.query(statement),
      async fresh(kind) {
        number += 1;
        const name = `${kind.replaceAll(/\W/g, '_')}_${number}`;
        await admin.script(`drop database if exists ${name}; `.trim());
        await admin.script(`create database ${name}`);
        const url = new URL(server.url);
        url.pathname = `/${name}`;
        return {
          name,
          url: url.href,
          home: join(home, `${name}_${Object.keys(extra).length}`),
          open: () => open(url.href),
          drop: () => admin.script(`drop database if exists ${name} with (force)`),
        };
      },
    });
  } finally {
    await admin.close();
    await server.stop();
  }
}
