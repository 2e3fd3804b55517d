import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeSchema } from '../../scripts/schema.ts';
import { systemClock } from '../../src/base/base.ts';
import { migrate } from '../../src/database/database.ts';
import { drivers, silentLog, testDatabase, unavailable } from '../support/databases.ts';

const folder = join(import.meta.dirname, '../../migrations');

for (const driver of drivers) {
  test.skipIf(unavailable(driver))(
    `migrations/schema.sql is what the ${driver} database comes to (npm run generate writes it)`,
    async () => {
      const place = await testDatabase(driver);
      const db = await place.open();
      await migrate(db, { folder, log: silentLog, clock: systemClock });
      const described = await describeSchema(db);
      await db.close();
      await place.drop();
      const snapshot = readFileSync(join(folder, 'schema.sql'), 'utf8');
      expect(snapshot.slice(snapshot.indexOf('\n\n') + 2)).toBe(`${described}\n`);
    },
  );
}

test.skipIf(unavailable('server'))(
  'a schema with something that the snapshot would leave out is refused',
  async () => {
    const place = await testDatabase('server');
    const db = await place.open();
    await db.script("create type mood as enum ('ok')");
    await expect(describeSchema(db)).rejects.toThrow('type mood');
    await db.close();
    await place.drop();
  },
);
