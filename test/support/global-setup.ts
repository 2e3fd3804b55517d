/**
 * One real PostgreSQL for the integration project: installed once into the cache, started in a
 * fresh folder on a free port as an ordinary user, stopped afterwards. What a test leaves behind (a
 * database, a process) fails the run.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { AppError, createLog, systemClock } from '../../src/base/base.ts';
import {
  cacheFolder,
  installPostgres,
  migrate,
  openDatabase,
  startPostgres,
  type LocalPostgres,
  type PostgresInstall,
} from '../../src/database/database.ts';
import { makeEmbeddedTemplates } from './embedded-template.ts';
import { leftovers, markVariable, testFolder } from './processes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The superuser's URL; empty when there is no server. */
    postgresAdminUrl: string;
    /** Where `initdb`, `postgres` and `psql` are; empty when there is no server. */
    postgresBinFolder: string;
    /** Why there is no server; empty when there is one. */
    postgresUnavailable: string;
  }
}

const log = createLog({ level: 'warn' });
const migrations = join(import.meta.dirname, '../../migrations');

/** Data that is thrown away: no test outlives a power cut. Durability has its own servers. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: 200,
  shared_buffers: '128MB',
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const mark = randomBytes(6).toString('hex');
  process.env[markVariable] = mark;
  const templates = await testFolder();
  await makeEmbeddedTemplates(templates);
  const stopServer = await startServer(project, mark);
  return async () => {
    await stopServer();
    await rm(templates, { recursive: true });
  };
}

async function startServer(project: TestProject, mark: string): Promise<() => Promise<void>> {
  const install = await installOrReason();
  if (typeof install === 'string') {
    process.stderr.write(`Tests on a PostgreSQL server are skipped: ${install}\n`);
    provide(project, '', '', install);
    return async () => await assertNothingLeft(mark);
  }
  const folder = await testFolder();
  const server = await startPostgres(install, { folder, port: 0, settings, log });
  try {
    await createTemplate(server.url);
  } catch (error) {
    await server.stop('immediate');
    throw error;
  }
  provide(project, server.url, install.binFolder, '');
  return async () => await finish(server, folder, mark);
}

/** The install, or why this machine can not have one. Whatever else goes wrong fails the run. */
async function installOrReason(): Promise<PostgresInstall | string> {
  let phase = '';
  try {
    return await installPostgres({
      major: 17,
      cacheFolder: cacheFolder(process.env),
      log,
      onProgress(progress) {
        if (phase === progress.phase) return;
        phase = progress.phase;
        process.stderr.write(`Installing PostgreSQL 17 for the tests: ${phase}\n`);
      },
    });
  } catch (error) {
    const lasting = ['missing_tool', 'no_mirror', 'unsupported'];
    if (error instanceof AppError && lasting.includes(String(error.details['reason']))) {
      return error.message;
    }
    throw error;
  }
}

async function createTemplate(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('create database template_product template template0');
  });
  const template = new URL(url);
  template.pathname = '/template_product';
  // Opening makes the extension `vector`; migrating makes the product's tables.
  const database = await openDatabase({
    url: template.href,
    home: '',
    poolSize: 2,
    log,
    clock: systemClock,
  });
  try {
    await migrate(database, { folder: migrations, log, clock: systemClock });
  } finally {
    await database.close();
  }
  // A session on a template makes every clone of it fail.
  await withClient(url, async (client) => {
    await client.query('alter database template_product is_template true allow_connections false');
  });
}

async function finish(server: LocalPostgres, folder: string, mark: string): Promise<void> {
  let databases: string[] = [];
  try {
    databases = await withClient(server.url, async (client) => {
      const { rows } = await client.query<{ datname: string }>(
        String.raw`select datname from pg_database where datname like 'test\_%'`,
      );
      return rows.map((row) => row.datname);
    });
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
  await assertNothingLeft(mark);
  if (databases.length > 0) {
    throw new Error(`tests left databases behind: ${databases.join(', ')}`);
  }
}

async function assertNothingLeft(mark: string): Promise<void> {
  const left = await leftovers(mark);
  if (left.length === 0) return;
  throw new Error(`tests left processes behind:\n${left.join('\n')}`);
}

function provide(project: TestProject, url: string, binFolder: string, reason: string): void {
  project.provide('postgresAdminUrl', url);
  project.provide('postgresBinFolder', binFolder);
  project.provide('postgresUnavailable', reason);
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
