import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, systemClock } from '../src/base/base.ts';
import { migrate, openDatabase } from '../src/database/database.ts';
import { describeSchema } from './schema.ts';

const folder = join(import.meta.dirname, '../migrations');
const path = join(folder, 'schema.sql');

/**
 * `migrations/schema.sql`, from an embedded database of its own. Making one takes five seconds of a
 * processor, so it is done only when a migration, or what describes them, has changed since;
 * `test/integration/schema.test.ts` holds the file against both drivers in any case.
 */
export async function generateSchema(): Promise<{ path: string; text: string }> {
  const head = `-- What the migrations of this folder come to. Written by npm run generate; never run.
-- Indexes and triggers stand below their table, partitions below all tables.
-- Of sources with SHA-256 ${hashOfSources()}.
`;
  const present = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const text = present.startsWith(head) ? present : `${head}\n${await describeMigrations()}\n`;
  return { path: 'migrations/schema.sql', text };
}

function hashOfSources(): string {
  const hash = createHash('sha256');
  const migrations = readdirSync(folder).filter((name) => /^\d.*\.sql$/.test(name));
  const sources = migrations.toSorted().map((name) => join(folder, name));
  for (const source of [...sources, join(import.meta.dirname, 'schema.ts')]) {
    hash.update(readFileSync(source, 'utf8').replaceAll('\r\n', '\n')).update('\0');
  }
  return hash.digest('hex');
}

async function describeMigrations(): Promise<string> {
  const log = createLog({ level: 'warn' });
  const home = await mkdtemp(join(tmpdir(), 'centuria-schema-'));
  try {
    const db = await openDatabase({ home, poolSize: 1, log, clock: systemClock });
    try {
      await migrate(db, { folder, log, clock: systemClock });
      return await describeSchema(db);
    } finally {
      await db.close();
    }
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
