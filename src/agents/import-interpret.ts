/** The bytes of one file as a definition of ours, and all that is to be said of it. */
import { formatAgent } from './format.ts';
import {
  decodeSource,
  readFrontmatter,
  splitFrontmatter,
  type Frontmatter,
} from './frontmatter.ts';
import type { Problem } from './agents.ts';
import { complainer, fromProblem, type ImportComplaint } from './import-complaint.ts';
import { convertAgent, type ConvertOptions, type Converted } from './import-convert.ts';
import { foldName, otherName } from './import-names.ts';
import { columnBefore, repairYaml } from './import-repair.ts';
import { openFields, predecessorLevels } from './import-source.ts';
import { parseAgent, promptOf } from './parse.ts';

export interface Interpreted {
  /** Absent when one of the complaints is an error. */
  readonly result?: Converted;
  readonly complaints: readonly ImportComplaint[];
}

/** A file of Claude Code's stays as it is, one of the predecessor's is converted. */
export function interpretFile(bytes: Uint8Array, options: ConvertOptions): Interpreted {
  const problems: Problem[] = [];
  const text = decodeSource(bytes, options.file, problems);
  if (text === undefined) return { complaints: problems.map(fromProblem) };
  const opened = openText(text, options.file);
  if (opened.front === undefined) return { complaints: opened.complaints };
  const levels = predecessorLevels(opened.front);
  const complaints = [...opened.complaints];
  let result: Converted | undefined;
  if (levels === undefined) {
    result = keepAgent({ ...opened, front: opened.front }, options.file, complaints);
  } else {
    const { front } = opened;
    const complain = complainer(front, options.file, complaints, opened.placeOf);
    const fields = openFields(front, levels, complain);
    result = convertAgent({ front, fields, complain }, options);
    for (const { severity, message, suggestion } of result === undefined
      ? []
      : parseAgent(result.text, options.file).problems) {
      if (severity === 'error')
        complain('error', [], `what it would become is wrong: ${message}`, suggestion);
    }
  }
  complaints.sort((a, b) => a.line - b.line || a.column - b.column);
  const isRefused = complaints.some(({ severity }) => severity === 'error');
  return { complaints, ...(result === undefined || isRefused ? {} : { result }) };
}

interface Opened {
  /** Absent when the file can't be read, not even with repairs. */
  readonly front: Frontmatter | undefined;
  /** With its YAML repaired. */
  readonly text: string;
  readonly complaints: readonly ImportComplaint[];
  /** Where something of the frontmatter stands in the file as it was given. */
  readonly placeOf: (offset: number) => { line: number; column: number };
}

function openText(given: string, file: string): Opened {
  const problems: Problem[] = [];
  const asGiven = readFrontmatter(given, file, problems);
  const found: Problem[] = [];
  const parts = splitFrontmatter(given, file, found);
  const repaired =
    parts === undefined || asGiven !== undefined ? undefined : repairYaml(parts.yaml);
  const text =
    parts === undefined || repaired === undefined
      ? given
      : parts.opening + repaired.yaml + parts.closing + parts.body;
  const again: Problem[] = [];
  const front = asGiven ?? (repaired && readFrontmatter(text, file, again));
  const isConverted = front !== undefined && predecessorLevels(front) !== undefined;
  const mark = found
    .filter(({ severity }) => severity === 'warning')
    .map((problem) => ({
      ...fromProblem(problem),
      ...(isConverted ? { instead: 'written without it' } : {}),
    }));
  const wrong = repaired === undefined ? problems : again;
  const errors = wrong
    .filter(({ severity }) => severity === 'error')
    .map((problem) => ({ instead: 'Correct the YAML there.', ...fromProblem(problem) }));
  const repairs = (repaired?.repairs ?? []).map(
    // The opening line comes before the YAML's first.
    (repair): ImportComplaint => ({ file, ...repair, line: repair.line + 1 }),
  );
  return {
    front,
    text,
    complaints: [...mark, ...(front === undefined ? errors : repairs)],
    placeOf(offset) {
      const reports = asGiven === undefined ? again : problems;
      front?.report('warning', offset, '');
      const { line, column } = reports.pop() ?? { line: 1, column: 1 };
      return { line, column: columnBefore(given, text, line, column) };
    },
  };
}

/** Claude Code's own file: its very bytes, but for what was repaired and a name that is none. */
function keepAgent(
  { front, text }: { readonly front: Frontmatter; readonly text: string },
  file: string,
  complaints: ImportComplaint[],
): Converted | undefined {
  const { name } = front.fields;
  const folded = typeof name === 'string' ? foldName(name) : undefined;
  const isRenamed = folded !== undefined && folded !== name;
  const kept = isRenamed
    ? formatAgent({
        frontmatter: { ...front.fields, name: folded },
        prompt: promptOf(front.body),
        source: text,
      })
    : text;
  const { definition, problems } = parseAgent(kept, file);
  // The byte order mark was told of when the file was opened.
  const told = problems.filter(({ line, column }) => line > 1 || column > 1);
  complaints.push(...told.map(fromProblem));
  if (isRenamed && definition !== undefined) {
    const at = parseAgent(text, file).problems.find(({ message }) => message.startsWith('name '));
    const place = { line: at?.line ?? 1, column: at?.column ?? 1 };
    const message = otherName(name);
    complaints.push({ file, ...place, severity: 'note', message, instead: folded });
  }
  if (definition === undefined) return undefined;
  const { kind } = definition.runtime ?? {};
  if (kind !== undefined) {
    const message = `it says how it is run: by the runtime ${kind}`;
    const instead = 'kept; look at it before the first call';
    complaints.push({ file, line: 1, column: 1, severity: 'note', message, instead });
  }
  return { name: definition.name, text: kept };
}
