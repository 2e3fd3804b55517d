import { createHash } from 'node:crypto';
import type { ErrorRecord } from '../base/base.ts';

/**
 * Equal for errors that differ only in what changes from run to run: numbers, ids, paths, quoted
 * texts. 16 hexadecimal digits.
 */
export function fingerprintOf(error: ErrorRecord): string {
  const task = error.details?.['task'];
  const parts = [error.code, typeof task === 'string' ? fold(task) : '', fold(error.message)];
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}

function fold(text: string): string {
  return text
    .slice(0, 2_000)
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`/g, '"…"')
    .replaceAll(/(?:\/[\w.@-]+)+/g, '/…')
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]{27,}\b|\b[0-9a-f]{12,}\b/gi, '#')
    .replaceAll(/\d+(?:[.,]\d+)*/g, '#');
}
