/** What each statement of SQL migrations locks, rewrites, breaks or loses on a PostgreSQL that is in use. */
import { join } from 'node:path';
import { loadModule } from 'libpg-query';
import type { ToolReport } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { openGit } from './git.ts';
import {
  Catalog,
  foreignKeysOf,
  hasIndexOn,
  type ForeignKey,
  type KnownTable,
} from './migration-catalog.ts';
import {
  forwardText,
  isBackward,
  isMigration,
  migrationOrder,
  saysNoTransaction,
} from './migration-files.ts';
import { judgeFile, type FileFinding } from './migration-transactions.ts';
import { listPlainFiles, matchesPattern, readPlainFile, type PlainFile } from './plain-files.ts';
import { count, ReportBuilder } from './report.ts';
import { decode } from './repository.ts';
import { parseSql, withoutPsql, type ParsedStatement } from './sql-check.ts';
import { positions } from './syntax.ts';
import { readOptions } from './tool-input.ts';
import type { ToolContext } from './tools.ts';

/** Beyond it a file is a dump, and the parser's memory grows by some forty times its size. */
const maxSqlBytes = 1024 * 1024;
const maxFiles = 5_000;
const defaultServer = 17;

interface Migration {
  readonly path: string;
  readonly sql: string;
  readonly statements: readonly ParsedStatement[];
  readonly isUnwrapped: boolean;
}

/** A foreign key, and its table as it is at the end, whatever that is called by then. */
interface PlacedKey extends ForeignKey {
  readonly known: KnownTable;
  readonly path: string;
  readonly line: number;
}

export async function run(context: ToolContext): Promise<ToolReport> {
  const options = readOptions(context.input, {
    path: 'text',
    server: 'integer',
    transaction: 'text',
    since: 'text',
  });
  const server = options.server ?? defaultServer;
  if (server < 10 || server > 18)
    throw new ToolError('usage', `server must be a major version from 10 to 18, not ${server}`);
  const transaction = options.transaction ?? 'file';
  if (transaction !== 'file' && transaction !== 'none')
    throw new ToolError('usage', `transaction must be file or none, not ${transaction}`);
  const report = new ReportBuilder('migration-check', context.limit);
  const files = choose(context.repo, options.path, report);
  const judged = await changedSince(context.repo, options.since);
  await loadModule();
  const migrations = files.flatMap((file) => read(file, report) ?? []);
  const catalog = new Catalog();
  const keys: PlacedKey[] = [];
  let looked = 0;
  let statements = 0;
  for (const migration of migrations) {
    const at = positions(migration.sql);
    const isJudged = judged === undefined || judged.has(migration.path);
    const wrapped = transaction === 'file' && !migration.isUnwrapped;
    const found = judgeFile(migration.statements, { catalog, server, wrapped });
    for (const statement of migration.statements)
      for (const key of foreignKeysOf(statement))
        if (isJudged)
          keys.push({
            ...key,
            known: catalog.table(key.table),
            path: migration.path,
            line: at(statement.offset).line,
          });
    if (!isJudged) continue;
    looked += 1;
    statements += migration.statements.length;
    for (const item of found) add(report, migration.path, item, at);
  }
  for (const key of keys)
    if (!key.known.isDropped && !hasIndexOn(key.known, key.columns)) addUnindexed(report, key);
  say(report, { files: files.length, looked, transaction, server, since: options.since });
  report.metric('files', looked);
  report.metric('statements', statements);
  if (files.length === 0) return report.build('Nothing to examine: no SQL migration here.');
  const dangerous = report.total - report.countOf('locks');
  return report.build(
    `${count(statements, 'statement')} in ${count(looked, 'migration')} held against PostgreSQL ${server}: ` +
      `${dangerous === 0 ? 'nothing dangerous' : count(dangerous, 'danger')}.`,
  );
}

function choose(repo: string, path: string | undefined, report: ReportBuilder): PlainFile[] {
  const wanted = (name: string): boolean => {
    if (!/\.sql$/i.test(name) || isBackward(name)) return false;
    if (path === undefined) return isMigration(name);
    const folder = path.replace(/^\.\//, '').replace(/\/$/, '');
    return folder === '.' || name.startsWith(`${folder}/`) || matchesPattern(name, folder);
  };
  const { files, cut } = listPlainFiles(repo, wanted);
  if (cut) report.note('The folder holds more files than are listed; some were left out.');
  if (files.length > maxFiles)
    report.note(`${files.length} migrations; the first ${maxFiles} were read.`);
  return files.toSorted((a, b) => migrationOrder(a.path, b.path)).slice(0, maxFiles);
}

/** The files that a commit and what came after it have changed; undefined where all are judged. */
async function changedSince(
  repo: string,
  since: string | undefined,
): Promise<ReadonlySet<string> | undefined> {
  if (since === undefined) return undefined;
  if (!/^[\w./@^~-]+$/.test(since) || since.startsWith('-'))
    throw new ToolError('usage', `since must name a commit, not ${since}`);
  const git = await openGit(repo);
  const base = join(repo) === git.top ? [] : ['--relative'];
  const changed = await git.text(['diff', '--name-only', '-z', ...base, since, '--', '.']);
  const added = await git.text(['ls-files', '--others', '--exclude-standard', '-z', '--', '.']);
  return new Set([...changed.split('\0'), ...added.split('\0')]);
}

function read(file: PlainFile, report: ReportBuilder): Migration | undefined {
  const bytes = readPlainFile(file.absolute, maxSqlBytes);
  const text = bytes === undefined ? undefined : decode(bytes);
  if (text === undefined) {
    report.note(`${file.path} is not readable text of at most 1 MiB; it was not examined.`);
    return undefined;
  }
  const { sql } = withoutPsql(forwardText(text));
  const parsed = parseSql(sql);
  if ('offset' in parsed) {
    report.add({
      severity: 'high',
      rule: 'sql-syntax',
      message: `Does not parse as PostgreSQL 18, so nothing in it was judged: ${parsed.message}`,
      file: file.path,
      ...positions(sql)(parsed.offset),
      fix: 'If it holds marks of a template engine, check what that engine makes of it.',
    });
    return undefined;
  }
  return {
    path: file.path,
    sql,
    statements: parsed.statements,
    isUnwrapped: saysNoTransaction(text),
  };
}

function add(
  report: ReportBuilder,
  path: string,
  { hazard, statement }: FileFinding,
  at: ReturnType<typeof positions>,
): void {
  const { severity, rule, message, fix } = hazard;
  report.add({
    severity,
    rule,
    message,
    file: path,
    ...at(statement.offset),
    ...(fix === '' ? {} : { fix }),
  });
}

function addUnindexed(report: ReportBuilder, key: PlacedKey): void {
  const columns = key.columns.join(', ');
  // What made the table is not here, so an index may be somewhere else too.
  const where = key.known.isWhole ? '' : ' in these migrations';
  report.add({
    severity: key.known.isWhole ? 'low' : 'info',
    rule: 'foreign-key-without-index',
    message: `No index${where} begins with ${key.table} (${columns}): deleting or changing a referenced row reads the whole table.`,
    file: key.path,
    line: key.line,
    fix: `CREATE INDEX CONCURRENTLY ON ${key.table} (${columns}), before the foreign key.`,
  });
}

function say(
  report: ReportBuilder,
  about: {
    files: number;
    looked: number;
    transaction: string;
    server: number;
    since: string | undefined;
  },
): void {
  if (about.files === 0) return;
  report.note(
    about.transaction === 'file'
      ? 'Taken as run in one transaction a file, unless the file itself says otherwise; give transaction=none where the tool does not wrap them.'
      : 'Taken as run without a transaction around each file.',
  );
  report.note(
    'Sizes of tables and the load on them are not known here: a lock held for a scan of a thousand rows is nothing.',
  );
  report.note('Bodies of functions and DO blocks were not looked into.');
  if (about.since !== undefined)
    report.note(
      `Of ${count(about.files, 'migration')}, those changed since ${about.since} were judged (${about.looked}); the others were read for the schema.`,
    );
}
