/** Writes definitions as Claude Code reads them. */
import type { AgentDefinition } from './agents.ts';
import { openTarget, writeDefinition, type WriteOptions } from './import-write.ts';

export interface ExportedAgent {
  readonly agent: string;
  /** The file that it was read from. */
  readonly file: string;
  readonly status: 'exported' | 'unchanged' | 'refused';
  /** The file that was written, or would be. */
  readonly target?: string;
  /** Why it was refused, and what would help. */
  readonly message?: string;
  readonly instead?: string;
}

/**
 * Writes each definition into the folder as the very bytes that it was read from: to Claude Code the
 * key `centuria` is a field that it does not know and passes over. Never over a file that says
 * something else unless `force`.
 */
export async function exportAgents(
  definitions: readonly AgentDefinition[],
  options: WriteOptions & { readonly to: string },
): Promise<ExportedAgent[]> {
  const target = await openTarget(options.to);
  const results: ExportedAgent[] = [];
  for (const { name, file, source } of definitions) {
    const written = await writeDefinition(target, name, source, options);
    const of = { agent: name, file };
    if (written.is === 'conflict') {
      const { message, instead } = written;
      results.push({ ...of, status: 'refused', message, instead });
    } else {
      const status = written.is === 'written' ? 'exported' : 'unchanged';
      results.push({ ...of, status, target: written.file });
    }
  }
  return results;
}
