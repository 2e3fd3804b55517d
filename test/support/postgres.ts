/**
 * Databases for tests on the PostgreSQL server that the global setup started. Each is a clone of a
 * template, so a test file has its own in some 50 ms and none sees another's rows.
 */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';

/** Why there is no server here, or undefined when there is one: `describe.skipIf(postgresUnavailable)`. */
export const postgresUnavailable: string | undefined =
  inject('postgresUnavailable') === '' ? undefined : inject('postgresUnavailable');

export interface TestDatabase {
  readonly url: string;
  /** Ends sessions that are still open, and drops the database. */
  drop(): Promise<void>;
}

/** A database with the product's schema and the `vector` extension. Drop it, or the run fails. */
export async function freshDatabase(): Promise<TestDatabase> {
  return await createDatabase('template_product');
}

/** A database without the product's schema; `vector` is available but not created. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return await createDatabase('template0');
}

/** The superuser's URL of the test server, for tests that need their own roles or settings. */
export function adminUrl(): string {
  if (postgresUnavailable !== undefined) throw new Error(postgresUnavailable);
  return inject('postgresAdminUrl');
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const admin = adminUrl();
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await execute(admin, `create database ${name} template ${template}`);
  const url = new URL(admin);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => await execute(admin, `drop database if exists ${name} with (force)`),
  };
}

async function execute(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
