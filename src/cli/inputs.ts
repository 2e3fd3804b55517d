import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { AppError, suggest } from '../base/base.ts';
import type { InputSpec } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';

type Specs = Readonly<Record<string, InputSpec>>;

/**
 * Inputs from `name=value` and `name:=JSON`. Where the input is known, the value gets its type, and a
 * path is taken from the folder of whoever types it, which need not be the server's. Throws
 * `invalid_input` naming the input.
 */
export function parseInputs(
  pairs: readonly string[],
  specs: Specs | undefined,
  cwd: string,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const pair of pairs) {
    const match = /^([A-Za-z_][\w-]*)(:?=)([^]*)$/.exec(pair);
    const [, name, sign, text] = match ?? [];
    if (name === undefined || text === undefined) {
      throw new AppError('usage', `--input ${pair}: it is no name=value`, {
        remedy: 'Write --input name=value, or --input name:=JSON for another type than text.',
      });
    }
    if (Object.hasOwn(values, name)) {
      throw new AppError('usage', `--input ${name} is given twice`);
    }
    const spec = specOf(name, specs);
    values[name] =
      sign === ':=' ? parseJson(text, `--input ${name}`) : typed(name, text, spec, cwd);
  }
  return values;
}

/**
 * What `--input` and `--input-json` say together (the former wins), with the paths that a workflow
 * takes by default resolved here: the current folder means the one in which the command was typed.
 */
export async function readInputs(
  options: { readonly input?: readonly string[]; readonly inputJson?: string },
  specs: Specs | undefined,
  context: Pick<CliContext, 'cwd' | 'stdin'>,
): Promise<Record<string, unknown>> {
  const fromJson =
    options.inputJson === undefined ? {} : await readJsonObject(options.inputJson, context);
  for (const name of Object.keys(fromJson)) specOf(name, specs);
  const values = { ...fromJson, ...parseInputs(options.input ?? [], specs, context.cwd) };
  for (const [name, spec] of Object.entries(specs ?? {})) {
    if (Object.hasOwn(values, name) || !isPath(spec) || typeof spec.default !== 'string') continue;
    values[name] = resolve(context.cwd, spec.default);
  }
  return values;
}

async function readJsonObject(
  source: string,
  context: Pick<CliContext, 'cwd' | 'stdin'>,
): Promise<Record<string, unknown>> {
  const where = source === '-' ? 'standard input' : source;
  let content: string;
  try {
    content =
      source === '-'
        ? await readAll(context.stdin)
        : readFileSync(resolve(context.cwd, source), 'utf8');
  } catch (cause) {
    throw new AppError('invalid_input', `--input-json ${where} can not be read`, { cause });
  }
  const value = parseJson(content, `--input-json ${where}`);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new AppError('invalid_input', `--input-json ${where}: it must be one JSON object`);
  }
  return value as Record<string, unknown>;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid_input', `${where}: ${(cause as Error).message}`, { cause });
  }
}

function specOf(name: string, specs: Specs | undefined): InputSpec | undefined {
  if (specs === undefined) return undefined;
  if (Object.hasOwn(specs, name)) return specs[name];
  const names = Object.keys(specs);
  const near = suggest(name, names);
  throw new AppError('invalid_input', `there is no input ${name}`, {
    details: { input: name, known: names },
    remedy:
      near === undefined
        ? `It takes ${names.length === 0 ? 'no input' : names.join(', ')}.`
        : `Did you mean ${near}?`,
  });
}

function isPath(spec: InputSpec | undefined): boolean {
  return spec?.type === 'directory' || spec?.type === 'git-repository';
}

function typed(name: string, text: string, spec: InputSpec | undefined, cwd: string): unknown {
  if (isPath(spec)) return resolve(cwd, text);
  switch (spec?.type) {
    case 'number':
    case 'integer': {
      const value = Number(text);
      const isGood = spec.type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (text.trim() === '' || !isGood) throw wrongType(name, text, spec.type);
      return value;
    }
    case 'boolean':
      if (text !== 'true' && text !== 'false')
        throw wrongType(name, text, 'boolean (true or false)');
      return text === 'true';
    case 'json':
      return parseJson(text, `--input ${name}`);
    default:
      return text;
  }
}

function wrongType(name: string, text: string, wanted: string): AppError {
  return new AppError('invalid_input', `--input ${name}: ${JSON.stringify(text)} is no ${wanted}`, {
    details: { input: name },
  });
}
