/** What a tool takes beyond the repository: `--input name=value`, or all of it as JSON on standard input. */
import { ToolError } from './errors.ts';
import { asRecord } from './packages.ts';

export type OptionKind = 'text' | 'integer' | 'boolean';
export interface OptionValues {
  readonly text: string;
  readonly integer: number;
  readonly boolean: boolean;
}
type Options<S extends Readonly<Record<string, OptionKind>>> = {
  readonly [K in keyof S]?: OptionValues[S[K]];
};

/** Taken from the input before the options of one tool are read. */
const common = new Set(['repo', 'folder', 'limit']);

/**
 * The options of one tool out of its input, by kind; numbers and booleans may come as text. An empty
 * text stands for one that was not given, since a workflow passes what its user left out that way.
 * Throws `usage` on an unknown name and on a value of another kind.
 */
export function readOptions<const S extends Readonly<Record<string, OptionKind>>>(
  input: Readonly<Record<string, unknown>>,
  kinds: S,
): Options<S> {
  const found: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(input)) {
    if (common.has(name) || value === undefined || value === null || value === '') continue;
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) {
      const known = Object.keys(kinds).join(', ');
      throw new ToolError('usage', `there is no input ${name}`, `It takes: repo, ${known}.`);
    }
    found[name] = readOption(name, kind, value);
  }
  return found as Options<S>;
}

function readOption(name: string, kind: OptionKind, value: unknown): string | number | boolean {
  if (kind === 'text' && typeof value === 'string') return value;
  if (kind === 'boolean' && (typeof value === 'boolean' || /^(true|false)$/.test(String(value))))
    return String(value) === 'true';
  if (kind === 'integer' && /^-?\d{1,15}$/.test(String(value))) return Number(value);
  throw new ToolError('usage', `the input ${name} must be ${kind}, got ${JSON.stringify(value)}`);
}

/** One object out of `--input name=value …`; `-` among them reads JSON from standard input. */
export async function gatherInput(
  given: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  const pairs: [string, string][] = [];
  let piped: Readonly<Record<string, unknown>> = {};
  for (const item of given) {
    if (item === '-') {
      piped = parseJson(await readStandardInput(maxInputBytes));
      continue;
    }
    const at = item.indexOf('=');
    if (at < 1) throw new ToolError('usage', `--input takes name=value or -, not ${item}`);
    pairs.push([item.slice(0, at), item.slice(at + 1)]);
  }
  return { ...piped, ...Object.fromEntries(pairs) };
}

const maxInputBytes = 1024 * 1024;

/** All of standard input. Throws `usage` at a terminal, where nobody pipes, and beyond `maxBytes`. */
export async function readStandardInput(maxBytes: number): Promise<string> {
  if (process.stdin.isTTY)
    throw new ToolError('usage', 'the input is read from standard input', 'Pipe it in as JSON.');
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > maxBytes)
      throw new ToolError('usage', `standard input is larger than ${maxBytes} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    throw new ToolError('usage', `standard input is not JSON: ${reason}`);
  }
  const fields = asRecord(value);
  if (fields === undefined) throw new ToolError('usage', 'standard input is not a JSON object');
  return fields;
}
