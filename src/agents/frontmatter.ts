import { LineCounter, isMap, parseDocument, type Document, type YAMLMap } from 'yaml';
import type { Problem } from './agents.ts';

/** A definition is a page or two; what is larger is no definition. */
export const maxSourceBytes = 256 * 1024;
export const tooLargeRemedy = 'Keep long material in files that the prompt names.';
/** Deeper values are no frontmatter, and a recursion over them could end the process. */
const maxDepth = 32;
export const maxAliases = 100;
/** One broken bracket can make a thousand complaints; the first ones say it. */
const maxSyntaxProblems = 10;

/** Where a complaint points: offsets into the frontmatter's text. */
export type Report = (
  severity: Problem['severity'],
  offset: number,
  message: string,
  suggestion?: string,
) => void;

/** The parts of a definition file. Offsets in `document` count from the start of `yaml`. */
export interface Frontmatter {
  readonly document: Document.Parsed;
  readonly map: YAMLMap;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly yaml: string;
  /** All before `yaml`: a byte order mark, if any, and the opening line. */
  readonly opening: string;
  /** The closing line with its line end. */
  readonly closing: string;
  /** All after the closing line. */
  readonly body: string;
  readonly report: Report;
}

/** Text from bytes: reports what is too large, no UTF-8 or holds NUL. A byte order mark is kept. */
export function decodeSource(
  source: string | Uint8Array,
  file: string,
  problems: Problem[],
): string | undefined {
  const complain = (line: number, column: number, message: string, suggestion: string) => {
    problems.push({ file, line, column, severity: 'error', message, suggestion });
    return undefined;
  };
  const bytes = typeof source === 'string' ? Buffer.from(source, 'utf8') : Buffer.from(source);
  if (bytes.length > maxSourceBytes) {
    const message = `the file has ${bytes.length} bytes, more than ${maxSourceBytes}`;
    return complain(1, 1, message, tooLargeRemedy);
  }
  const text = bytes.toString('utf8');
  const wrong = firstDifference(bytes, Buffer.from(text, 'utf8'));
  if (wrong !== undefined || (typeof source === 'string' && !source.isWellFormed())) {
    const { line, column } = positionOf(bytes.subarray(0, wrong ?? 0).toString('utf8'));
    return complain(line, column, 'the file is not UTF-8', 'Save it as UTF-8.');
  }
  const nul = text.indexOf('\0');
  if (nul !== -1) {
    const { line, column } = positionOf(text.slice(0, nul));
    return complain(line, column, 'the file holds a NUL character', 'Remove it.');
  }
  return text;
}

/** Splits the file at its two `---` lines and reads the YAML between them. */
export function readFrontmatter(
  text: string,
  file: string,
  problems: Problem[],
): Frontmatter | undefined {
  const lines = new LineCounter();
  const report: Report = (severity, offset, message, suggestion) => {
    const { line, col } = lines.linePos(offset);
    problems.push({
      file,
      // The opening line comes before the frontmatter's first.
      line: Math.max(1, line) + 1,
      column: Math.max(1, col),
      severity,
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  };
  const parts = splitFrontmatter(text, file, problems);
  if (parts === undefined) return undefined;
  const document = parseYaml(parts.yaml, lines);
  for (const issue of [...document.errors, ...document.warnings].slice(0, maxSyntaxProblems)) {
    report('error', issue.pos[0], syntaxMessage(issue.code, issue.message));
  }
  if (document.errors.length > 0 || document.warnings.length > 0) return undefined;
  const { contents: map } = document;
  if (!isMap(map)) {
    report('error', 0, 'the frontmatter must be a map of fields', 'name: …');
    return undefined;
  }
  const fields = plainValues(document, report);
  return fields && { ...parts, document, map, fields, report };
}

/** The YAML of a frontmatter, with what is wrong in its lists of errors and warnings. */
export function parseYaml(yaml: string, lines: LineCounter): Document.Parsed {
  return parseDocument(yaml, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // No tag is resolved but YAML's plain ones: nothing is built or run from a definition.
    resolveKnownTags: false,
    version: '1.2',
  });
}

/** The parts of the file around its two `---` lines. */
export function splitFrontmatter(text: string, file: string, problems: Problem[]) {
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const complain = (severity: Problem['severity'], message: string, suggestion: string) =>
    problems.push({ file, line: 1, column: 1, severity, message, suggestion });
  if (mark !== '') {
    complain('warning', 'the file begins with a byte order mark', 'Save it without one.');
  }
  const opening = /^---[ \t]*\r?\n/.exec(text.slice(mark.length))?.[0];
  if (opening === undefined) {
    const message = 'the file does not begin with frontmatter';
    complain('error', message, 'Begin with a line ---, then name: and description:.');
    return undefined;
  }
  const rest = text.slice(mark.length + opening.length);
  const closing = /^---[ \t]*(?:\r?\n|$)/m.exec(rest);
  if (closing === null) {
    complain('error', 'the frontmatter is not closed', 'Close it with a line ---.');
    return undefined;
  }
  return {
    opening: mark + opening,
    yaml: rest.slice(0, closing.index),
    closing: closing[0],
    body: rest.slice(closing.index + closing[0].length),
  };
}

function plainValues(
  document: Document.Parsed,
  report: Report,
): Readonly<Record<string, unknown>> | undefined {
  try {
    const fields = document.toJS({ maxAliasCount: maxAliases }) as Record<string, unknown>;
    if (depthWithin(fields, maxDepth)) return fields;
    report('error', 0, `the frontmatter is nested deeper than ${maxDepth} levels`);
  } catch (error) {
    // The library throws for unknown anchors and for aliases that multiply.
    report('error', 0, error instanceof Error ? error.message : String(error));
  }
  return undefined;
}

/** A value that holds itself is deeper than any limit, so this ends on cycles too. */
function depthWithin(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return true;
  return levels > 0 && Object.values(value).every((inner) => depthWithin(inner, levels - 1));
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'TAG_RESOLVE_FAILED') return `tags are not allowed here: ${message}`;
  if (code === 'DUPLICATE_KEY') return 'the field stands here a second time';
  if (code === 'RESOURCE_EXHAUSTION') return 'the frontmatter is nested too deeply';
  return message;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) if (a[index] !== b[index]) return index;
  return length;
}

function positionOf(before: string): { line: number; column: number } {
  const lastBreak = before.lastIndexOf('\n');
  return { line: before.split('\n').length, column: before.length - lastBreak };
}
