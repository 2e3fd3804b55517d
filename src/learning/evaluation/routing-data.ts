/** Questions with what each of several agents came to: what choosing can be measured on without running anything. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { AppError } from '../../base/base.ts';
import { parseCsv, wrong } from './csv.ts';

export interface RoutingRow {
  readonly prompt: string;
  /** By agent, in the order of `RoutingData.agents`. */
  readonly correct: readonly boolean[];
  readonly costUsd?: readonly number[];
  readonly ms?: readonly number[];
}

export interface RoutingData {
  readonly file: string;
  readonly agents: readonly string[];
  readonly rows: readonly RoutingRow[];
}

const largestBytes = 256 * 2 ** 20;
const mostRows = 200_000;

/** A value with its place in the file. */
interface Cell {
  readonly value: unknown;
  readonly line: number;
  readonly column?: number;
}
type Cells = (name: string) => Cell | undefined;

/**
 * Reads a CSV file (RFC 4180) or JSON lines (`.jsonl`, `.ndjson`): `prompt`, `AGENT_correct` of two agents
 * or more (true, false, 1, 0), and where there are any `AGENT_cost_usd` and `AGENT_ms` of all of them.
 * Throws `invalid_input` with file, line and column, `not_found`, `too_large`.
 */
export async function readRoutingData(file: string): Promise<RoutingData> {
  const text = await readText(file);
  const { columns, records } = /\.(jsonl|ndjson)$/i.test(file)
    ? readJson(text, file)
    : readTable(text, file);
  const agents = columns
    .filter((name) => name.endsWith('_correct'))
    .map((name) => name.slice(0, -8));
  const complaint = !columns.includes('prompt')
    ? 'there is no column prompt'
    : agents.length < 2
      ? `two or more columns AGENT_correct are needed, there are ${agents.length}`
      : undefined;
  if (complaint !== undefined) {
    throw wrong(file, { line: 1 }, `${complaint}; the columns are ${columns.join(', ')}`);
  }
  if (records.length > mostRows) {
    throw new AppError(
      'too_large',
      `${file} has ${records.length} rows; at most ${mostRows} are read`,
    );
  }
  const has = {
    costUsd: hasAll(columns, agents, '_cost_usd', file),
    ms: hasAll(columns, agents, '_ms', file),
  };
  return { file, agents, rows: records.map((cells) => readRow(file, agents, has, cells)) };
}

/**
 * Whether a question belongs to the half that nothing is fitted on: by its text alone, so that it stays
 * there whatever else a file holds, and a question that stands there twice is never in both halves.
 */
export function isHeldOut(prompt: string): boolean {
  const [first = 0] = createHash('sha256').update(prompt.trim()).digest();
  return (first & 1) === 1;
}

async function readText(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    if (size > largestBytes) {
      throw new AppError(
        'too_large',
        `${file} has ${size} bytes; at most ${largestBytes} are read`,
      );
    }
    bytes = await readFile(file);
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new AppError('not_found', `there is no file ${file}`, { cause: error });
    throw new AppError('invalid_input', `${file} can not be read: ${message}`, { cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new AppError('invalid_input', `${file} is not UTF-8`, { cause: error });
  }
}

function readTable(text: string, file: string): { columns: string[]; records: Cells[] } {
  const [header = [], ...rows] = parseCsv(text, file);
  const columns = header.map((value) => value.text.trim());
  const twice = header.find((_, index) => columns.indexOf(columns[index] ?? '') !== index);
  if (twice !== undefined) throw wrong(file, twice, `there are two columns ${twice.text}`);
  const places = new Map(columns.map((name, index) => [name, index]));
  const records = rows.map((row) => {
    if (row.length !== columns.length) {
      const line = row[0]?.line ?? 0;
      throw wrong(file, { line }, `${row.length} values; the header has ${columns.length}`);
    }
    return (name: string) => {
      const value = row[places.get(name) ?? -1];
      return value && { value: value.text, line: value.line, column: value.column };
    };
  });
  return { columns, records };
}

function readJson(text: string, file: string): { columns: string[]; records: Cells[] } {
  const columns = new Set<string>();
  const records = text.split('\n').flatMap((source, index) => {
    if (source.trim() === '') return [];
    const line = index + 1;
    const record = parseLine(source, file, line);
    for (const name of Object.keys(record)) columns.add(name);
    return [
      (name: string) =>
        Object.hasOwn(record, name) ? { value: record[name], line } : { value: undefined, line },
    ];
  });
  return { columns: [...columns], records };
}

function parseLine(source: string, file: string, line: number): Record<string, unknown> {
  let record: unknown;
  try {
    record = JSON.parse(source);
  } catch (error) {
    throw wrong(file, { line }, error instanceof Error ? error.message : 'no JSON');
  }
  if (record !== null && typeof record === 'object' && !Array.isArray(record)) {
    return record as Record<string, unknown>;
  }
  throw wrong(file, { line }, 'an object is needed');
}

/** Costs and times of some agents only would compare what is known with what is not. */
function hasAll(
  columns: readonly string[],
  agents: readonly string[],
  ending: string,
  file: string,
): boolean {
  const missing = agents.filter((agent) => !columns.includes(`${agent}${ending}`));
  if (missing.length > 0 && missing.length < agents.length) {
    throw wrong(file, { line: 1 }, `${missing[0]}${ending} is missing, while others have theirs`);
  }
  return missing.length === 0;
}

function readRow(
  file: string,
  agents: readonly string[],
  has: { readonly costUsd: boolean; readonly ms: boolean },
  cells: Cells,
): RoutingRow {
  const cell = (name: string): Cell => cells(name) ?? { value: undefined, line: 0 };
  const prompt = cell('prompt');
  if (typeof prompt.value !== 'string' || prompt.value.trim() === '') {
    throw wrong(file, prompt, 'prompt is empty');
  }
  const numbers = (ending: string): number[] =>
    agents.map((agent) => readNumber(file, `${agent}${ending}`, cell(`${agent}${ending}`)));
  return {
    prompt: prompt.value,
    correct: agents.map((agent) => readTruth(file, `${agent}_correct`, cell(`${agent}_correct`))),
    ...(has.costUsd ? { costUsd: numbers('_cost_usd') } : {}),
    ...(has.ms ? { ms: numbers('_ms') } : {}),
  };
}

function readTruth(file: string, name: string, cell: Cell): boolean {
  const text = String(cell.value).trim().toLowerCase();
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw wrong(
    file,
    cell,
    `${name} is ${JSON.stringify(cell.value)}; true, false, 1 or 0 is needed`,
  );
}

function readNumber(file: string, name: string, cell: Cell): number {
  const { value } = cell;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number < Infinity) return number;
  throw wrong(file, cell, `${name} is ${JSON.stringify(value)}; a number of 0 or more is needed`);
}
