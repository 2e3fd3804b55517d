import { Client } from 'pg';
import { expect, test } from 'vitest';
import { emptyDatabase, freshDatabase, postgresUnavailable } from '../support/postgres.ts';

test.skipIf(postgresUnavailable)(
  'a fresh database has the vector extension and is its own',
  async () => {
    const [one, two] = await Promise.all([freshDatabase(), freshDatabase()]);
    const empty = await emptyDatabase();
    try {
      const client = new Client({ connectionString: one.url });
      await client.connect();
      const { rows } = await client.query<{ near: number }>(
        `select '[1,2]'::vector <-> '[1,4]' as near`,
      );
      await client.end();
      expect(rows).toEqual([{ near: 2 }]);
      expect(new Set([one.url, two.url, empty.url]).size).toBe(3);
    } finally {
      await Promise.all([one.drop(), two.drop(), empty.drop()]);
    }
  },
);
