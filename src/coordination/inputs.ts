import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { promisify } from 'node:util';
import { AppError, suggest } from '../base/base.ts';
import type { InputSpec, WorkflowDefinition } from './definition.ts';
import { inputTypeProblem } from './workflow.ts';

const run = promisify(execFile);

/**
 * The inputs of a run: what was given, held against the workflow, with its defaults. Paths become
 * absolute: a given one must be so already, a default is relative to `cwd`. Throws `invalid_input`
 * naming the input, before anything is written.
 */
export async function resolveInputs(
  definition: WorkflowDefinition,
  given: Readonly<Record<string, unknown>>,
  cwd: string,
): Promise<Record<string, unknown>> {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(definition.inputs, name)) continue;
    const near = suggest(name, Object.keys(definition.inputs));
    const known = Object.keys(definition.inputs).join(', ') || 'none';
    throw inputError(
      name,
      `workflow ${definition.name} has no input ${name}`,
      near === undefined ? `Its inputs: ${known}.` : `Did you mean ${near}?`,
    );
  }
  const resolved: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(definition.inputs)) {
    const value = given[name];
    if (value !== undefined) resolved[name] = await resolveInput(name, spec, value, undefined);
    else if (spec.default !== undefined)
      resolved[name] = await resolveInput(name, spec, spec.default, cwd);
    else if (spec.required) {
      throw inputError(
        name,
        `workflow ${definition.name} needs the input ${name}`,
        spec.description || `Give it: --input ${name}=…`,
      );
    }
  }
  return resolved;
}

async function resolveInput(
  name: string,
  spec: InputSpec,
  value: unknown,
  base: string | undefined,
): Promise<unknown> {
  const problem = inputTypeProblem(spec.type, value);
  if (problem !== undefined) throw inputError(name, `input ${name} ${problem}`, spec.description);
  if (spec.type !== 'directory' && spec.type !== 'git-repository') return value;
  const path = String(value);
  if (base === undefined && !isAbsolute(path)) {
    throw inputError(
      name,
      `input ${name} must be an absolute path, got ${path}`,
      'The server does not share your working directory.',
    );
  }
  const absolute = resolve(base ?? '/', path);
  const found = await stat(absolute).catch(() => undefined);
  if (found?.isDirectory() !== true) {
    const what = found === undefined ? 'does not exist' : 'is not a directory';
    throw inputError(
      name,
      `input ${name}: ${absolute} ${what}`,
      'Give the path of a directory on this machine.',
    );
  }
  return spec.type === 'directory' ? absolute : await topLevel(name, absolute);
}

/** The top folder of the git work tree that a path lies in. */
async function topLevel(name: string, path: string): Promise<string> {
  try {
    const { stdout } = await run(
      'git',
      [
        '-c',
        `safe.directory=*`,
        '-c',
        'core.fsmonitor=false',
        '-C',
        path,
        'rev-parse',
        '--show-toplevel',
      ],
      {
        timeout: 10_000,
        env: { PATH: process.env['PATH'], LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' },
      },
    );
    return stdout.replace(/\n$/, '');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError('unavailable', 'git is not installed', { remedy: 'Install git.', cause });
    }
    throw inputError(
      name,
      `input ${name}: ${path} is not a git work tree`,
      'Give a folder inside a clone, or run `git init` there.',
      cause,
    );
  }
}

function inputError(name: string, message: string, remedy: string, cause?: unknown): AppError {
  return new AppError('invalid_input', message, {
    details: { input: name },
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}
