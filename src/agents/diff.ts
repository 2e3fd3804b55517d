import { isDeepStrictEqual } from 'node:util';
import type { AgentDefinition } from './agents.ts';

/** What changed from one definition to another. */
export interface AgentDiff {
  readonly before: string;
  readonly after: string;
  /** Fields of the frontmatter that differ, down to the innermost map, by path. */
  readonly fields: readonly FieldChange[];
  /** The prompt's lines; empty when it did not change. */
  readonly prompt: readonly DiffLine[];
}

export interface FieldChange {
  /** `centuria.timeoutSeconds`. */
  readonly path: string;
  /** Absent: the field is new. */
  readonly before?: unknown;
  /** Absent: the field is gone. */
  readonly after?: unknown;
}

export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added';
  readonly text: string;
}

/**
 * Compares two definitions by hash, field and line. `before` and `after` are their hashes. Prompts
 * that differ in more than about two thousand lines by as many are shown as replaced in one piece.
 */
export function diffAgents(before: AgentDefinition, after: AgentDefinition): AgentDiff {
  return {
    before: before.hash,
    after: after.hash,
    fields: diffFields(before.frontmatter, after.frontmatter, ''),
    prompt: before.prompt === after.prompt ? [] : diffLines(before.prompt, after.prompt),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function diffFields(before: Fields, after: Fields, prefix: string): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    const fresh = Object.hasOwn(after, key) ? after[key] : undefined;
    if (isDeepStrictEqual(old, fresh)) continue;
    if (isMap(old) && isMap(fresh)) changes.push(...diffFields(old, fresh, path));
    else {
      changes.push({
        path,
        ...(old === undefined ? {} : { before: old }),
        ...(fresh === undefined ? {} : { after: fresh }),
      });
    }
  }
  return changes;
}

function isMap(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The table of the comparison has one cell a pair of lines: 4 Mi cells are 16 MiB. */
const maxCells = 4 * 1024 * 1024;

/** The longest common subsequence of lines; what both begin and end with is taken first. */
export function diffLines(before: string, after: string): DiffLine[] {
  const old = before.split('\n');
  const fresh = after.split('\n');
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let oldEnd = old.length;
  let freshEnd = fresh.length;
  while (oldEnd > start && freshEnd > start && old[oldEnd - 1] === fresh[freshEnd - 1]) {
    oldEnd -= 1;
    freshEnd -= 1;
  }
  const same = (lines: string[]) => lines.map((text): DiffLine => ({ kind: 'same', text }));
  return [
    ...same(old.slice(0, start)),
    ...diffMiddle(old.slice(start, oldEnd), fresh.slice(start, freshEnd)),
    ...same(old.slice(oldEnd)),
  ];
}

function diffMiddle(old: string[], fresh: string[]): DiffLine[] {
  const width = fresh.length + 1;
  if ((old.length + 1) * width > maxCells) {
    return [
      ...old.map((text): DiffLine => ({ kind: 'removed', text })),
      ...fresh.map((text): DiffLine => ({ kind: 'added', text })),
    ];
  }
  // lengths[i * width + j]: the longest common subsequence of old from i on and fresh from j on.
  const lengths = new Uint32Array((old.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = fresh.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < fresh.length) {
    const oldText = old[i];
    const freshText = fresh[j];
    if (oldText !== undefined && oldText === freshText) {
      lines.push({ kind: 'same', text: oldText });
      i += 1;
      j += 1;
    } else if (oldText !== undefined && (freshText === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: 'removed', text: oldText });
      i += 1;
    } else if (freshText !== undefined) {
      lines.push({ kind: 'added', text: freshText });
      j += 1;
    }
  }
  return lines;
}
