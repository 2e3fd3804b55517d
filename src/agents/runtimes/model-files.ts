/** Claude Code's tools that read files, inside one folder and with limits. */
import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { JSONSchema7 } from 'ai';
import { AppError } from '../../base/base.ts';
import { searchFiles } from './model-search.ts';
import type { ModelTool } from './model-tools.ts';

const maxFileBytes = 10 * 1_048_576;
const maxLineLength = 2_000;
const usualLines = 2_000;

const readInput = Type.Object(
  {
    file_path: Type.String({ minLength: 1, description: 'The file, relative to the folder.' }),
    offset: Type.Optional(Type.Integer({ minimum: 1, description: 'The first line, from 1.' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, description: `How many lines; ${usualLines}.` }),
    ),
  },
  { additionalProperties: false },
);

const globInput = Type.Object(
  {
    pattern: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'Such as **/*.ts or src/*.{js,json}.',
    }),
    path: Type.Optional(Type.String({ description: 'A folder to look in.' })),
  },
  { additionalProperties: false },
);

const grepInput = Type.Object(
  {
    pattern: Type.String({
      minLength: 1,
      maxLength: 1_000,
      description: 'A regular expression of JavaScript.',
    }),
    path: Type.Optional(Type.String({ description: 'A file or folder to look in.' })),
    glob: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Only files like *.ts.' }),
    ),
    output_mode: Type.Optional(
      Type.Enum(['content', 'files_with_matches', 'count'], {
        description: 'Lines, names of files (unless given), or numbers of lines.',
      }),
    ),
    '-i': Type.Optional(Type.Boolean({ description: 'Capitals and small letters alike.' })),
    head_limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  },
  { additionalProperties: false },
);

export function readTool(folder: string): ModelTool {
  return {
    name: 'Read',
    description: 'Reads a text file; each line comes with its number.',
    inputSchema: schemaOf(readInput),
    describe: (input) => pathOf(input, 'file_path'),
    async call(given) {
      const input = checked('Read', readInput, given);
      const text = await readText(await inside(folder, input.file_path), input.file_path);
      return numbered(text, input);
    },
  };
}

export function globTool(folder: string): ModelTool {
  return {
    name: 'Glob',
    description: 'Finds files by a pattern of their names.',
    inputSchema: schemaOf(globInput),
    describe: (input) => pathOf(input, 'pattern'),
    async call(given, signal) {
      const { pattern, path } = checked('Glob', globInput, given);
      const start = await inside(folder, path ?? '.');
      return searchFiles({ kind: 'glob', folder, start, pattern }, signal);
    },
  };
}

export function grepTool(folder: string): ModelTool {
  return {
    name: 'Grep',
    description: 'Finds lines in files by a regular expression.',
    inputSchema: schemaOf(grepInput),
    describe: (input) => pathOf(input, 'pattern'),
    async call(given, signal) {
      const input = checked('Grep', grepInput, given);
      const flags = input['-i'] === true ? 'iu' : 'u';
      try {
        void new RegExp(input.pattern, flags);
      } catch (error) {
        throw new AppError('invalid_input', `Grep: pattern: ${String(error)}`);
      }
      const start = await inside(folder, input.path ?? '.');
      const { pattern, glob, output_mode: mode = 'files_with_matches', head_limit: most } = input;
      return searchFiles(
        {
          kind: 'grep',
          folder,
          start,
          pattern,
          flags,
          mode,
          most: most ?? 250,
          ...(glob === undefined ? {} : { glob }),
        },
        signal,
      );
    },
  };
}

/**
 * The real place of a path in the folder, which is real itself. Throws for what lies outside, also over
 * symbolic links, and for git's own files, which often hold credentials.
 */
async function inside(folder: string, path: string): Promise<string> {
  const wanted = resolve(folder, path);
  const refuse = (why: string): AppError =>
    new AppError('invalid_input', `${path} ${why}`, {
      remedy: 'Name a path inside the folder, relative to it.',
    });
  if (!isWithin(folder, wanted)) throw refuse('is not inside the folder');
  let real: string;
  try {
    real = await realpath(wanted);
  } catch {
    throw refuse('does not exist');
  }
  if (!isWithin(folder, real)) throw refuse('leads out of the folder');
  if (relative(folder, real).split(sep).includes('.git')) throw refuse('is one of git’s own files');
  return real;
}

function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

async function readText(file: string, shown: string): Promise<string> {
  const refuse = (why: string): AppError => new AppError('invalid_input', `${shown} ${why}`);
  const found = await lstat(file);
  // Reading a pipe or a device might never end.
  if (!found.isFile()) throw refuse(found.isDirectory() ? 'is a folder: use Glob' : 'is no file');
  if (found.size > maxFileBytes) throw refuse(`is larger than ${maxFileBytes / 1_048_576} MB`);
  // A link that has taken its place since is not followed.
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const bytes = await handle.readFile();
    if (bytes.subarray(0, 8_192).includes(0)) throw refuse('is not a text');
    return bytes.toString('utf8');
  } finally {
    await handle.close();
  }
}

function numbered(
  text: string,
  { offset = 1, limit = usualLines }: Static<typeof readInput>,
): string {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) return '[the file is empty]';
  if (offset > lines.length) return `[the file has ${lines.length} lines]`;
  const shown = lines.slice(offset - 1, offset - 1 + limit).map((line, index) => {
    const cut = line.length > maxLineLength ? `${line.slice(0, maxLineLength)}[cut]` : line;
    return `${String(offset + index).padStart(6)}\t${cut}`;
  });
  const left = lines.length - (offset - 1 + shown.length);
  if (left > 0) shown.push(`[${left} more lines: read on with offset ${offset + shown.length}]`);
  return shown.join('\n');
}

function checked<Schema extends TSchema>(
  tool: string,
  schema: Schema,
  input: unknown,
): Static<Schema> {
  const problem = Value.Errors(schema, input)[0];
  if (problem === undefined) return input as Static<Schema>;
  throw new AppError(
    'invalid_input',
    `${tool}: ${problem.instancePath || 'the input'} ${problem.message}`,
  );
}

function pathOf(input: unknown, field: string): string {
  const value = (input as Readonly<Record<string, unknown>> | null)?.[field];
  return typeof value === 'string' ? value : '';
}

/** Without the marks that only the schema library sees. */
function schemaOf(schema: TSchema): JSONSchema7 {
  return JSON.parse(JSON.stringify(schema)) as JSONSchema7;
}
