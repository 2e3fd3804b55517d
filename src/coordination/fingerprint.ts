/** What makes two failures the same kind: pure, and the same in every process and version. */
import { createHash } from 'node:crypto';
import type { ErrorRecord } from '../base/base.ts';

/** Messages are cut there: what comes after says where, not what. */
const mostCharacters = 500;

/**
 * Equal for failures of one kind: 16 hex digits of the code, the task, its agent and the message
 * without what differs from one time to the next. Without a task the one that the error names counts.
 */
export function fingerprintOf(
  error: ErrorRecord,
  task?: { readonly id: string; readonly agent?: string },
): string {
  const named = error.details?.['task'];
  const id = task?.id ?? (typeof named === 'string' ? named : '');
  const parts = [error.code, itemless(id), task?.agent ?? '', fold(error.message)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** Items of a pipeline fail alike: `parse#3` is `parse`. */
function itemless(task: string): string {
  return task.replaceAll(/#\d+/g, '');
}

/**
 * The message with what differs each time replaced by its kind. In this order: what is quoted may hold
 * a path, a path an id, and an id digits.
 */
export function fold(message: string): string {
  return message
    .slice(0, mostCharacters * 4)
    .replaceAll(/"[^"]*"|`[^`]*`|(?<!\w)'[^']*'(?!\w)/g, '<text>')
    .replaceAll(/\b[a-z][a-z0-9+.-]*:\/\/\S+/gi, '<url>')
    .replaceAll(/(?<![\w<])(?:[A-Za-z]:)?(?:[\w.@~+-]*[\\/])+[\w.@~+:-]+/g, '<path>')
    .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, '<id>')
    .replaceAll(/\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b/gi, '<id>')
    .replaceAll(/\b\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?/g, '<time>')
    .replaceAll(/[+-]?\d+(?:[.,:_]\d+)*/g, '<n>')
    .replaceAll(/#(?=<n>)/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, mostCharacters);
}
