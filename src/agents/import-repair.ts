/** Repairs of YAML that can have been meant in one way only; everything else is left as it is. */
import { isDeepStrictEqual } from 'node:util';
import { LineCounter, isAlias, isScalar, visit, type Document, type Pair } from 'yaml';
import { maxAliases, parseYaml } from './frontmatter.ts';

/** One repair, at its place in the YAML that was given, lines and columns from 1. */
export interface Repair {
  readonly line: number;
  readonly column: number;
  readonly severity: 'warning' | 'note';
  readonly message: string;
  readonly instead: string;
}

export interface Repaired {
  /** As many lines as before, so that every place in it is one in the file. */
  readonly yaml: string;
  readonly repairs: readonly Repair[];
}

/** A file with more faults is not one with slips in it. */
const maxRepairs = 200;
/** A repair can show the next fault; four layers of them were never seen. */
const maxRounds = 8;

/**
 * Makes wrong YAML right where there is one way to read it: texts that a colon, an asterisk or a
 * reserved character spoils are put in quotes, of a field that stands twice the last one counts, and
 * tabs become blanks where every width of them says the same. Undefined when a fault is left.
 */
export function repairYaml(yaml: string): Repaired | undefined {
  const tabLine = yaml.split('\n').findIndex((line) => /^ *\t[ \t]*\S/.test(line));
  const plain = repairTexts(yaml);
  if (plain !== undefined || tabLine === -1) return plain;
  const [first, ...others] = [2, 4, 8].flatMap((width) => {
    const expanded = yaml.replace(/^[ \t]+/gm, (lead) => lead.replaceAll('\t', ' '.repeat(width)));
    const found = repairTexts(expanded);
    return found === undefined ? [] : [{ ...found, width, expanded, values: valuesOf(found.yaml) }];
  });
  if (first === undefined) return undefined;
  // Blanks beside tabs mean another depth with each width: then nobody knows what was meant.
  if (others.some(({ values }) => !isDeepStrictEqual(values, first.values))) return undefined;
  const note: Repair = {
    line: tabLine + 1,
    column: 1,
    severity: 'note',
    message: 'the indentation has tabs, which YAML does not allow',
    instead: `each was read as ${first.width} blanks`,
  };
  const repairs = first.repairs.map((repair) => ({
    ...repair,
    column: columnBefore(yaml, first.expanded, repair.line, repair.column),
  }));
  return { yaml: first.yaml, repairs: [note, ...repairs] };
}

/** The column in the text as it was given of one in the repaired text, whose lines may begin with more blanks. */
export function columnBefore(
  given: string,
  repaired: string,
  line: number,
  column: number,
): number {
  const [before, after] = [given, repaired].map(
    (text) => /^[ \t]*/.exec(text.split('\n')[line - 1] ?? '')?.[0].length ?? 0,
  );
  return Math.max(1, column - (after ?? 0) + (before ?? 0));
}

function valuesOf(yaml: string): unknown {
  try {
    return parseYaml(yaml, new LineCounter()).toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    return error;
  }
}

function repairTexts(source: string): Repaired | undefined {
  const repairs: Repair[] = [];
  let yaml = source;
  for (let round = 0; round <= maxRounds; round += 1) {
    const lines = new LineCounter();
    const document = parseYaml(yaml, lines);
    const faults = faultsOf(document);
    if (faults.length === 0) return { yaml, repairs };
    if (repairs.length + faults.length > maxRepairs) return undefined;
    const edited = yaml.split('\n');
    const work = { yaml, lines, document, edited };
    const done = faults.flatMap((fault) => repairFault(fault, work) ?? []);
    if (done.length === 0) return undefined;
    repairs.push(...done);
    yaml = edited.join('\n');
  }
  return undefined;
}

interface Fault {
  readonly code: string;
  readonly offset: number;
}

function faultsOf(document: Document.Parsed): Fault[] {
  const faults: Fault[] = [...document.errors, ...document.warnings].map((issue) => ({
    code: issue.code,
    offset: issue.pos[0],
  }));
  const anchors = new Set<string>();
  visit(document, {
    Node(_key, node) {
      if (isAlias(node)) {
        // Text that begins with an asterisk, since nothing has that name.
        const offset = node.range?.[0] ?? 0;
        if (!anchors.has(node.source)) faults.push({ code: 'NO_ANCHOR', offset });
      } else if ('anchor' in node && typeof node.anchor === 'string') anchors.add(node.anchor);
    },
  });
  return faults;
}

interface Work {
  readonly yaml: string;
  readonly lines: LineCounter;
  readonly document: Document.Parsed;
  /** Changed in place; the number of lines stays. */
  readonly edited: string[];
}

function repairFault(fault: Fault, work: Work): Repair | undefined {
  switch (fault.code) {
    case 'BLOCK_AS_IMPLICIT_KEY':
      return quoteColon(fault.offset, work);
    case 'BAD_SCALAR_START':
    case 'NO_ANCHOR':
      return quoteStart(fault.offset, work);
    case 'DUPLICATE_KEY':
      return keepLast(fault.offset, work);
    default:
      return undefined;
  }
}

/** Before a value: blanks, dashes of lists, and the key if there is one. */
const beforeValue = /^( *)((?:- +)*)(?:([\w.-]+) *: +)?/;

/** A value with `: ` in it after a key on the same line can be nothing but a text. */
function quoteColon(offset: number, work: Work): Repair | undefined {
  const index = work.lines.linePos(offset).line - 1;
  const line = work.edited[index]?.replace(/\r$/, '') ?? '';
  const [before = '', blanks = '', dashes = '', key] = beforeValue.exec(line) ?? [];
  // After a dash, `- a: b: c` can be a text as well as the field a of a map.
  if (key === undefined || dashes !== '') return undefined;
  const value = line.slice(before.length);
  if (/^["'[{|>&*!?#%@`]|^- /.test(value) || !/:(?:\s|$)/.test(value)) return undefined;
  const last = lastLine(work.edited, index, blanks.length);
  // Of a description alone it is known that what follows deeper is more of its text.
  if (last > index && key !== 'description') return undefined;
  if (!quoteLines(work.edited, index, last, before.length)) return undefined;
  return {
    line: index + 1,
    column: before.length + 1,
    severity: 'note',
    message: `${key} holds a colon outside quotes`,
    instead: 'the whole text was put in quotes',
  };
}

/** The last line that belongs to a plain text which began at `index` behind `indent` blanks. */
function lastLine(lines: readonly string[], index: number, indent: number): number {
  let last = index;
  for (let next = index + 1; next < lines.length; next += 1) {
    const line = lines[next] ?? '';
    if (line.trim() === '') continue;
    if (line.search(/\S/) <= indent) break;
    last = next;
  }
  return last;
}

function quoteStart(offset: number, work: Work): Repair | undefined {
  const { line, col } = work.lines.linePos(offset);
  const index = line - 1;
  const text = work.edited[index]?.replace(/\r$/, '') ?? '';
  const [before = '', blanks = '', dashes = '', key] = beforeValue.exec(text) ?? [];
  // In the middle of a line it stands in brackets, where the end of the text is not known.
  if (before.length !== col - 1 || /^["']/.test(text.slice(before.length))) return undefined;
  const indent = key === undefined ? blanks.length : blanks.length + dashes.length;
  if (lastLine(work.edited, index, indent) > index) return undefined;
  if (!quoteLines(work.edited, index, index, before.length)) return undefined;
  return {
    line,
    column: col,
    severity: 'note',
    message: `a text begins with ${text[before.length]}, which means something else in YAML`,
    instead: 'it was put in quotes',
  };
}

/** Puts what stands from `column` of one line to the end of another in quotes, without a comment after it. */
function quoteLines(lines: string[], first: number, last: number, column: number): boolean {
  const text = lines.slice(first, last + 1).map((line) => line.replace(/\r$/, ''));
  const head = text[0] ?? '';
  const comment = first === last ? (/\s+#.*$/.exec(head.slice(column))?.[0] ?? '') : '';
  if (
    first !== last &&
    text.some((line, index) => /\s#/.test(line.slice(index === 0 ? column : 0)))
  )
    return false;
  text[0] = head.slice(0, head.length - comment.length);
  const quoted = text.map((line, index) => {
    const from = index === 0 ? column : 0;
    return line.slice(0, from) + line.slice(from).replaceAll("'", "''");
  });
  quoted[0] = `${quoted[0]?.slice(0, column)}'${quoted[0]?.slice(column)}`;
  const end = quoted.length - 1;
  quoted[end] = `${quoted[end]?.trimEnd()}'${comment}`;
  quoted.forEach((line, index) => {
    const carriage = lines[first + index]?.endsWith('\r') === true ? '\r' : '';
    lines[first + index] = line + carriage;
  });
  return true;
}

/** Of a field that stands twice the last counts, as PyYAML reads it; the others become comments. */
function keepLast(offset: number, work: Work): Repair | undefined {
  const found = findDuplicate(offset, work.document);
  if (found === undefined) return undefined;
  const { earlier, key } = found;
  const start = isScalar(earlier.key) ? (earlier.key.range?.[0] ?? 0) : 0;
  const value = earlier.value as { range?: [number, number, number] | null } | null;
  const end = value?.range?.[1] ?? start + key.length;
  const written = work.yaml.slice(start, end).trimEnd();
  const from = work.lines.linePos(start);
  const to = work.lines.linePos(start + Math.max(0, written.length - 1));
  const alone =
    work.edited[from.line - 1]?.slice(0, from.col - 1).trim() === '' &&
    /^\s*(?:#.*)?$/.test(work.edited[to.line - 1]?.slice(to.col) ?? '');
  if (!alone) return undefined;
  for (let line = from.line - 1; line < to.line; line += 1) {
    work.edited[line] = `# ${work.edited[line] ?? ''}`;
  }
  const again = work.lines.linePos(offset).line;
  return {
    line: from.line,
    column: from.col,
    severity: 'warning',
    message: `${key} stands here and, ${again - from.line} lines further down, a second time`,
    instead: 'the last one counts; this one became a comment',
  };
}

function findDuplicate(
  offset: number,
  document: Document.Parsed,
): { earlier: Pair; key: string } | undefined {
  let found: { earlier: Pair; key: string } | undefined;
  visit(document, {
    Map(_key, map) {
      const index = map.items.findIndex(
        ({ key }) => isScalar(key) && key.range?.[0] === offset && key.range[1] > offset,
      );
      const later = map.items[index]?.key;
      if (!isScalar(later)) return;
      const same = ({ key }: Pair): boolean => isScalar(key) && key.value === later.value;
      const earlier = map.items.slice(0, index).findLast(same);
      if (earlier !== undefined) found = { earlier, key: String(later.value) };
    },
  });
  return found;
}
