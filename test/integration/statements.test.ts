import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { migrate, type Database } from '../../src/database/database.ts';
import { deploymentTables } from '../../src/ext/server/record-queries.ts';
import { ensureVectorTables } from '../../src/learning/similarity/vector-tables.ts';
import {
  drivers,
  silentLog,
  testDatabase,
  unavailable,
  type TestDatabase,
} from '../support/databases.ts';
import { findStatements, queryFiles } from '../support/statements.ts';

const files = queryFiles();
const statements = await findStatements(files);

test('every queries.ts holds statements, and there is at least one', () => {
  const without = files.filter((file) => !statements.some(({ from }) => from.startsWith(file)));
  expect(without).toStrictEqual([]);
  expect(statements.length).toBeGreaterThan(0);
});

test('no two functions write the same statement', () => {
  const names = Map.groupBy(statements, ({ sql }) => sql.name);
  const same = [...names.values()]
    .filter((group) => group.length > 1)
    .map((group) => group.map(({ from }) => from));
  expect(same).toStrictEqual([]);
});

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let place: TestDatabase;
    let db: Database;

    beforeAll(async () => {
      place = await testDatabase(driver);
      db = await place.open();
      const folder = join(import.meta.dirname, '../../migrations');
      await migrate(db, { folder, log: silentLog, clock: systemClock });
      // Made at the start of who uses them, since they need the extension.
      await ensureVectorTables(db, 'offline');
      // Made on the servers that extensions are deployed to.
      await db.script(deploymentTables);
    });
    afterAll(async () => {
      await db.close();
      await place.drop();
    });

    test.for(statements)('PostgreSQL accepts $from', async ({ sql }) => {
      await expect(db.script(`prepare t_${sql.name} as ${sql.text}`)).resolves.toBeUndefined();
    });
  });
}
