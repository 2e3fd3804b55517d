/** Whether SQL parses as PostgreSQL, and what of it is dangerous to run on a database with data. */
import { hasSqlDetails, loadModule, parseSync } from 'libpg-query';
import type { ToolReport } from '../base/base.ts';
import { asRecord } from './packages.ts';
import { extensionOf, isGenerated, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type TrackedFile } from './repository.ts';
import { judgeStatement, type Danger, type SqlState } from './sql-dangers.ts';
import { positions } from './syntax.ts';
import type { ToolContext } from './tools.ts';

/** Beyond it a file is a dump, and the parser's memory grows by some forty times its size. */
const maxSqlBytes = 1024 * 1024;
const templateMark = /\{\{|\{%|<%|\$\{[A-Za-z_]|@@\w+@@|<cf|\{\w+\}|^\s*--\s*name:/m;
/** Words that no PostgreSQL has, by which other databases show. */
const otherDialect =
  /\bAUTO_INCREMENT\b|\bENGINE\s*=|`\w+`|^\s*GO\s*$|\[dbo\]|\bNVARCHAR\b|\bIDENTITY\s*\(|\bAUTOINCREMENT\b|\bVARCHAR2\b|^\s*DELIMITER\b|\bPRAGMA\s|\bUNSIGNED\b|\bCREATE\s+OR\s+ALTER\b|\bMergeTree\b/im;
const migrationPath =
  /(^|\/)(migrations?|migrate|db\/(deploy|change|versions)|flyway|liquibase|schema_changes)\//i;
const migrationName = /(^|\/)(V?\d{3,}[._-]|V\d+__|\d{4}-\d{2}-\d{2})[^/]*\.sql$/;
const notForward =
  /(^|\/)(schema|structure)\.sql$|([._-](down|undo|rollback|revert)\.sql|\/(down|revert|rollback|undo)\/[^/]*|(^|\/)U\d+__[^/]*)$/i;

export interface ParsedStatement {
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Where it begins in the text, past comments. */
  readonly offset: number;
}

export interface SqlFault {
  readonly offset: number;
  readonly message: string;
}

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('sql-check', context.limit);
  await loadModule();
  const counts = { files: 0, statements: 0, broken: 0, migrations: 0 };
  const left = { template: 0, dialect: 0, psql: 0 };
  for (const { path, text } of repository.texts(isSql, maxSqlBytes)) {
    const { sql, commands } = withoutPsql(text);
    if (commands > 0) left.psql += 1;
    const parsed = parseSql(sql);
    if ('offset' in parsed && templateMark.test(text)) left.template += 1;
    else if ('offset' in parsed && otherDialect.test(text)) left.dialect += 1;
    else {
      counts.files += 1;
      const at = positions(sql);
      const { line, column } = at('offset' in parsed ? parsed.offset : 0);
      if ('offset' in parsed) {
        counts.broken += 1;
        const evidence = sql.split('\n', line)[line - 1]?.trim() ?? '';
        report.add({
          severity: isTest(path) ? 'low' : 'high',
          rule: 'sql-syntax',
          message: `Does not parse as PostgreSQL 18: ${parsed.message}`,
          file: path,
          line,
          column,
          ...(evidence === '' ? {} : { evidence }),
        });
        continue;
      }
      counts.statements += parsed.statements.length;
      const isMigration =
        (migrationPath.test(path) || migrationName.test(path)) &&
        !isGenerated(path) &&
        !isTest(path);
      if (!isMigration || notForward.test(path)) continue;
      counts.migrations += 1;
      addDangers(path, sql, parsed.statements, report);
    }
  }
  for (const [name, value] of Object.entries(counts)) report.metric(name, value);
  if (left.template > 0)
    report.note(
      `${count(left.template, 'file')} with marks of a template engine that do not parse as they are left out.`,
    );
  if (left.dialect > 0)
    report.note(
      `${count(left.dialect, 'file')} in the SQL of another database left out: only PostgreSQL is parsed.`,
    );
  if (left.psql > 0)
    report.note(
      `${count(left.psql, 'file')} with commands of psql (\\x, COPY … FROM stdin): those lines were passed over.`,
    );
  if (counts.files > 0 && counts.migrations === 0)
    report.note(
      'No file lies or is named like a migration, so dangerous statements were not looked for.',
    );
  report.notes(repository.notes());
  if (counts.files === 0) return report.build('Nothing to examine: no .sql file of PostgreSQL.');
  return report.build(
    `${count(counts.statements, 'statement')} in ${count(counts.files, 'file')}: ${counts.broken} do not parse; ` +
      `${report.total - counts.broken} dangerous in ${count(counts.migrations, 'migration')}.`,
  );
}

function isSql(file: TrackedFile): boolean {
  return extensionOf(file.path) === 'sql' && !isVendored(file.path);
}

/** The statements of a text, or where it stops being SQL. The module must have been loaded. */
export function parseSql(sql: string): { statements: ParsedStatement[] } | SqlFault {
  let parsed: unknown;
  try {
    parsed = parseSync(sql);
  } catch (error) {
    if (!hasSqlDetails(error)) {
      if (error instanceof Error && /empty/i.test(error.message)) return { statements: [] };
      throw error;
    }
    const at = error.sqlDetails?.cursorPosition ?? 0;
    return { offset: Math.max(0, at), message: error.message };
  }
  const list: unknown = asRecord(parsed)?.['stmts'];
  const items: readonly unknown[] = Array.isArray(list) ? list : [];
  // The parser counts bytes.
  const bytes = Buffer.from(sql);
  return {
    statements: items.map((item) => {
      const record = asRecord(item) ?? {};
      const [kind, fields] = Object.entries(asRecord(record['stmt']) ?? {})[0] ?? ['', {}];
      const start = typeof record['stmt_location'] === 'number' ? record['stmt_location'] : 0;
      const offset = bytes.subarray(0, start).toString().length;
      return { kind, fields: asRecord(fields) ?? {}, offset: offset + leading(sql.slice(offset)) };
    }),
  };
}

/** Blank space and comments before a statement. */
function leading(text: string): number {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|;)*/.exec(text)?.[0].length ?? 0;
}

/** Blanks what psql reads itself, line by line, so that places stay where they were. */
export function withoutPsql(text: string): { sql: string; commands: number } {
  let commands = 0;
  let inCopy = false;
  let dollar: string | undefined;
  const lines = text.split('\n').map((line) => {
    if (inCopy) {
      if (/^\\\.\s*$/.test(line)) inCopy = false;
      return '';
    }
    // A backslash at the start of a line in a function's body is the body's own.
    for (const [tag] of line.matchAll(/\$(?:[A-Za-z_]\w*)?\$/g)) {
      if (dollar === undefined) dollar = tag;
      else if (dollar === tag) dollar = undefined;
    }
    if (dollar !== undefined) return line;
    if (/^\s*\\[A-Za-z!?.]/.test(line)) {
      commands += 1;
      return '';
    }
    if (/^\s*COPY\b.*\bFROM\s+stdin\b.*;\s*$/i.test(line)) {
      commands += 1;
      inCopy = true;
      return '';
    }
    return line.replace(/\\(?:gexec|gset|gx|g|crosstabview)\b.*$/, (command) => {
      commands += 1;
      return `;${' '.repeat(command.length - 1)}`;
    });
  });
  return { sql: lines.join('\n'), commands };
}

function addDangers(
  path: string,
  sql: string,
  statements: readonly ParsedStatement[],
  report: ReportBuilder,
): void {
  const state: SqlState = { created: new Set() };
  const at = positions(sql);
  for (const statement of statements)
    for (const danger of judgeStatement(statement.kind, statement.fields, state))
      report.add({ ...toFinding(danger), file: path, ...at(statement.offset) });
}

function toFinding(danger: Danger) {
  const { severity, rule, message, fix } = danger;
  return { severity, rule, message, fix };
}
