import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { delimiter, isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../base/base.ts';
import { attemptVariable, readProcUnits } from '../processes.ts';
import { findProgram, searchFolders, type FoundProgram, type ProgramPlaces } from '../programs.ts';
import type { RuntimeTools } from '../runtime.ts';
import { runChild, type ChildCall, type ChildEnd } from './child.ts';
import { startError } from './command-errors.ts';
import { createResourceSampler } from './resource-sampler.ts';

/** How runtimes start programs: one way, whatever the program is then talked with about. */
export interface Children {
  readonly places: ProgramPlaces;
  /** Whether the system ends what was started when this process dies, even by kill -9. */
  readonly endWithUs: boolean;
  /** What every program needs, the variables named, and by which attempt it is found again. */
  environmentOf(
    names: readonly string[],
    attempt: { readonly attemptId: string; readonly idempotencyKey: string },
  ): Record<string, string>;
  /** As `runChild`; throws what `startError` makes of a program that can not be started. */
  run(program: FoundProgram, call: ChildStart, agent: string): Promise<ChildEnd>;
}

export type ChildStart = Omit<ChildCall, 'file'>;

/** What nearly every program needs and none of it a secret of ours. */
const passedAlways = [
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'NODE_EXTRA_CA_CERTS',
  ...['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]),
];

export async function openChildren(
  options: Pick<RuntimeTools, 'packageRoot' | 'environment' | 'clock'>,
): Promise<Children> {
  const places: ProgramPlaces = {
    packageRoot: options.packageRoot,
    path: options.environment['PATH'],
  };
  const units = readProcUnits();
  const tools = { clock: options.clock, sampler: units && createResourceSampler(units) };
  const setpriv = await findDeathSignal(places);
  return {
    places,
    endWithUs: setpriv.length > 0,
    environmentOf(names, { attemptId, idempotencyKey }) {
      const passed: Record<string, string> = {};
      for (const name of [...passedAlways, ...names]) {
        const value = options.environment[name];
        if (value !== undefined) passed[name] = value;
      }
      passed['PATH'] = searchFolders(places).join(delimiter);
      passed[attemptVariable] = attemptId;
      passed['CENTURIA_ATTEMPT_KEY'] = idempotencyKey;
      return passed;
    },
    async run(program, call, agent) {
      const [file = program.file, ...leading] = [...setpriv, program.file, ...program.leading];
      try {
        return await runChild({ ...call, file, arguments: [...leading, ...call.arguments] }, tools);
      } catch (thrown) {
        throw startError(thrown, agent, program.file);
      }
    },
  };
}

/**
 * `setpriv --pdeathsig KILL --` makes Linux end the program when this process dies, even by kill -9.
 * Empty where there is none that can: BusyBox has a setpriv without it.
 */
async function findDeathSignal(places: ProgramPlaces): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const setpriv = await findProgram('setpriv', places);
  const command = setpriv && [setpriv.file, '--pdeathsig', 'KILL', '--'];
  if (command === undefined) return [];
  const [file = '', ...leading] = command;
  try {
    await promisify(execFile)(file, [...leading, process.execPath, '--version'], {
      timeout: 5_000,
    });
    return command;
  } catch {
    return [];
  }
}

/** The folder that a template came to; throws `invalid_input` for one that can't be worked in. */
export async function usableDirectory(directory: unknown): Promise<string> {
  // Without this look a missing folder would read as a missing program: both are ENOENT.
  const found =
    typeof directory === 'string' && isAbsolute(directory) && (await isFolder(directory));
  if (found) return directory;
  throw new AppError(
    'invalid_input',
    `the directory ${JSON.stringify(directory)} can not be used`,
    {
      details: { directory },
      remedy: 'Give the absolute path of a folder that exists.',
    },
  );
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** The program, where the definition has said that it is needed. Throws `agent_unavailable`. */
export async function neededProgram(
  name: string,
  agent: string,
  places: ProgramPlaces,
): Promise<FoundProgram> {
  const found = await findProgram(name, places);
  if (found !== undefined) return found;
  throw new AppError('agent_unavailable', `agent ${agent}: the program ${name} was not found`, {
    details: { agent, program: name },
    remedy: `Install ${name}, or add its folder to PATH.`,
  });
}
