import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';

/** One file of the folder, checked. */
export interface MigrationFile {
  readonly number: number;
  /** `000001_coordination.sql`. */
  readonly name: string;
  readonly text: string;
  /** SHA-256 of the text with `\n` line ends, hexadecimal. */
  readonly checksum: string;
  /** Older binaries must not use the schema after it. */
  readonly breaking: boolean;
}

const namePattern = /^(\d{6})_[a-z0-9_]+\.sql$/;
const breakingMark = /^-- centuria: breaking\s*$/;
/** Each file is one transaction, which these would end in the middle. PL/pgSQL's `begin` has no `;`. */
const transactionControl = /^\s*(begin|start\s+transaction|commit|rollback|abort)\b[\w\s]*;/im;

/**
 * The migrations of a folder in order: `NNNNNN_name.sql` from 000001 without gaps. `schema.sql` is
 * the dumped result and is passed over. Throws `migration_failed` naming the files at fault.
 */
export function readMigrations(folder: string): MigrationFile[] {
  const names = listSqlFiles(folder);
  const strange = names.filter((name) => !namePattern.test(name));
  if (strange.length > 0) {
    throw folderWrong(folder, `${strange.join(', ')}: not named like 000001_name.sql`, strange);
  }
  const files = names.map((name) => readMigration(folder, name));
  for (const [index, file] of files.entries()) {
    const before = files[index - 1];
    if (before?.number === file.number) {
      const both = [before.name, file.name];
      throw folderWrong(folder, `${both.join(' and ')} have the same number`, both);
    }
    if (file.number !== (before?.number ?? 0) + 1) {
      const place = before === undefined ? 'nothing' : before.name;
      throw folderWrong(folder, `${file.name} follows ${place}: a number is missing`, [file.name]);
    }
  }
  return files;
}

function listSqlFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.sql') && name !== 'schema.sql')
      .toSorted();
  } catch (cause) {
    throw new AppError('migration_failed', `the folder of migrations ${folder} can not be read`, {
      details: { folder },
      remedy: 'Install Centuria again: its migrations belong to it.',
      cause,
    });
  }
}

function readMigration(folder: string, name: string): MigrationFile {
  // A checkout with other line ends is the same migration.
  const text = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
  const control = transactionControl.exec(text)?.[0].trim();
  if (control !== undefined) {
    throw folderWrong(folder, `${name}: "${control}" would end the transaction of the file`, [
      name,
    ]);
  }
  return {
    number: Number(name.slice(0, 6)),
    name,
    text,
    checksum: createHash('sha256').update(text).digest('hex'),
    breaking: breakingMark.test(text.split('\n', 1)[0] ?? ''),
  };
}

function folderWrong(folder: string, message: string, files: readonly string[]): AppError {
  return new AppError('migration_failed', message, {
    details: { folder, files },
    remedy: 'Number the files 000001, 000002, … once each.',
  });
}
