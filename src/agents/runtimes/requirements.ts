import { toAppError } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';
import { findProgram, type ProgramPlaces } from '../programs.ts';
import type { Runtime, RuntimeTools } from '../runtime.ts';
import { missingVariable } from './secrets.ts';

/**
 * Which of an agent's `requires` is not here, with what to do about it; undefined when all are. A variable
 * may come as a file named by NAME_FILE: for runtimes that use it here and hand it to no process.
 */
export async function missingRequirement(
  { requires }: AgentDefinition,
  { packageRoot, environment }: Pick<RuntimeTools, 'packageRoot' | 'environment'>,
): Promise<string | undefined> {
  const places: ProgramPlaces = { packageRoot, path: environment['PATH'] };
  for (const name of requires.binaries) {
    if ((await findProgram(name, places)) !== undefined) continue;
    return `the program ${name} was not found: install it, or add its folder to PATH`;
  }
  for (const name of requires.environment) {
    const missing = await missingVariable(name, environment);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** The check, with what it throws as its result. */
export function failingCheck(check: Runtime['check']): Runtime['check'] {
  return async (definition, signal) => {
    try {
      return await check(definition, signal);
    } catch (thrown) {
      return { ok: false, state: 'failed', reason: toAppError(thrown).message };
    }
  };
}
