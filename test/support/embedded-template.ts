/**
 * Embedded databases made once for a run of the tests and copied for each: making one takes 8 s of
 * processor time, opening a copy 1.3 s. Without a template (programs outside of vitest) they are made anew.
 */
import { cpSync, existsSync } from 'node:fs';
import { cp, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog, systemClock } from '../../src/base/base.ts';
import { migrate, openDatabase } from '../../src/database/database.ts';

/** Names the folder of the templates to the workers of a run. */
const variable = 'TEST_EMBEDDED_TEMPLATES';
const migrations = join(import.meta.dirname, '../../migrations');
const log = createLog({ level: 'warn' });

export type EmbeddedTemplate = 'empty' | 'migrated';

/** Makes both in `folder`, which the caller deletes. */
export async function makeEmbeddedTemplates(folder: string): Promise<void> {
  const home = join(folder, 'home');
  const open = () => openDatabase({ url: '', home, poolSize: 1, log, clock: systemClock });
  await mkdir(folder, { recursive: true });
  await (await open()).close();
  await cp(join(home, 'database'), join(folder, 'empty'), { recursive: true });
  const database = await open();
  await migrate(database, { folder: migrations, log, clock: systemClock });
  await database.close();
  await rename(join(home, 'database'), join(folder, 'migrated'));
  process.env[variable] = folder;
}

/** Gives a data folder without a database a copy of a template; where there is none it is left as it is. */
export function seedHome(home: string, template: EmbeddedTemplate): void {
  const folder = process.env[variable];
  const database = join(home, 'database');
  if (folder === undefined || existsSync(database)) return;
  cpSync(join(folder, template), database, { recursive: true });
}
