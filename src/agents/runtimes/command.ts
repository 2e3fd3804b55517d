import { isAbsolute } from 'node:path';
import { expand, newId } from '../../base/base.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import {
  neededProgram,
  openChildren,
  usableDirectory,
  type Children,
  type ChildStart,
} from './children.ts';
import { endError, readOutput, type CommandContext } from './command-errors.ts';
import type { Verify } from '../definition-schema.ts';
import type { CommandRuntimeSpec } from './command-spec.ts';
import { attemptVariable } from '../processes.ts';
import { findProgram, type FoundProgram, type ProgramPlaces } from '../programs.ts';
import { abortError } from './deadline.ts';
import { invocationScope } from './invocation-scope.ts';
import { failingCheck } from './requirements.ts';
import type { CheckResult, Runtime, RuntimeTools } from '../runtime.ts';

export type CommandTools = Pick<RuntimeTools, 'packageRoot' | 'environment' | 'clock' | 'callDoor'>;

const defaultMemoryMb = 2_048;
const defaultOutputMb = 8;
const bytesPerMb = 1_048_576;
/** Of the output of a failed attempt, characters that are kept. */
const partialLength = 65_536;
/** A check says yes or no; what it writes is not read. */
const checkOutputMb = 1;

/**
 * Runs programs: no shell unless asked, each array element one argument, each attempt a process
 * group of its own with limits on time, output and memory. The memory limit is polled every 200 ms
 * over all processes of the attempt; where the system has no /proc it is not enforced, and neither
 * memory nor processor time is reported.
 */
export async function createCommandRuntime(
  options: CommandTools,
  shared?: Children,
): Promise<Runtime> {
  const children = shared ?? (await openChildren(options));
  const { places } = children;

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent, signal } = invocation;
    throwIfCancelled(signal, agent.name);
    const spec = specOf(agent);
    const scope = invocationScope(invocation);
    const directory = await directoryOf(spec, scope);
    const program = await programOf(spec, agent, places);
    const context: CommandContext = {
      agent: agent.name,
      timeoutMs: invocation.timeoutMs,
      memoryMb: spec.limits?.memoryMb ?? defaultMemoryMb,
      outputMb: spec.limits?.outputMb ?? defaultOutputMb,
      goodExit: (agent.verify as Verify | undefined)?.exit ?? 0,
    };
    const admission = invocation.delegate && (await options.callDoor.admit(invocation.delegate));
    const end = await start(program, {
      arguments: argumentsOf(spec.arguments ?? [], scope),
      directory,
      environment: { ...environmentOf(agent, spec, invocation), ...admission?.environment },
      input: inputOf(spec, invocation.input),
      attemptId: invocation.attemptId,
      context,
      signal,
      onLine: invocation.onProgress,
    }).finally(() => admission?.end());
    const error = endError(end, context);
    if (error !== undefined) {
      const why = error.code === 'cancelled' ? abortError(signal, agent.name) : error;
      throw new AgentFailure(why, { usage: end.usage, ...partialOf(end.stdout.toString()) });
    }
    return { output: readOutput(end.stdout, spec.stdout ?? 'text', agent.name), usage: end.usage };
  }

  function start(program: FoundProgram, { context, attemptId, ...call }: StartCall) {
    return children.run(
      program,
      {
        ...call,
        timeoutMs: context.timeoutMs,
        memoryBytes: context.memoryMb * bytesPerMb,
        outputBytes: context.outputMb * bytesPerMb,
        mark: { variable: attemptVariable, value: attemptId },
      },
      context.agent,
    );
  }

  async function check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult> {
    const missing = await missingOf(definition, places, options.environment);
    if (missing !== undefined) return { ok: false, state: 'unavailable', reason: missing };
    const spec = specOf(definition);
    if (spec.check === undefined) return { ok: true };
    const program = await programOf(spec, definition, places);
    const attemptId = newId(options.clock);
    const context: CommandContext = {
      agent: definition.name,
      // The caller's signal ends it sooner.
      timeoutMs: definition.timeoutMs,
      memoryMb: spec.limits?.memoryMb ?? defaultMemoryMb,
      outputMb: checkOutputMb,
      goodExit: 0,
    };
    const end = await start(program, {
      arguments: spec.check.arguments.map(String),
      directory: undefined,
      environment: environmentOf(definition, spec, { attemptId, idempotencyKey: attemptId }),
      input: undefined,
      attemptId,
      context,
      signal,
      onLine: undefined,
    });
    const error = endError(end, context);
    if (error === undefined) return { ok: true };
    const state = error.code === 'agent_unavailable' ? 'unavailable' : 'failed';
    return { ok: false, state, reason: `its check: ${error.message}` };
  }

  function environmentOf(
    definition: AgentDefinition,
    spec: CommandRuntimeSpec,
    attempt: Pick<Invocation, 'attemptId' | 'idempotencyKey'>,
  ): Record<string, string> {
    const names = [...(spec.environment ?? []), ...definition.requires.environment];
    return children.environmentOf(names, attempt);
  }

  return {
    run,
    check: failingCheck(check),
  };
}

interface StartCall extends Pick<ChildStart, 'arguments' | 'directory' | 'environment'> {
  readonly input: string | undefined;
  readonly attemptId: string;
  readonly context: CommandContext;
  readonly signal: AbortSignal;
  readonly onLine: ((line: string) => void) | undefined;
}

/** What keeps the agent from running here, with what to do about it; undefined when nothing does. */
export async function missingOf(
  definition: AgentDefinition,
  places: ProgramPlaces,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const { program } = specOf(definition);
  const needed = new Set([
    ...(program === undefined ? [] : [program]),
    ...definition.requires.binaries,
  ]);
  for (const name of needed) {
    if ((await findProgram(name, places)) !== undefined) continue;
    return isAbsolute(name)
      ? `${name} is missing or may not be executed`
      : `the program ${name} was not found: install it, or add its folder to PATH`;
  }
  const unset = definition.requires.environment.find((name) => !environment[name]);
  return unset === undefined ? undefined : `the environment variable ${unset} is not set`;
}

/** The parser has held it against the schema: a definition exists only when it fits. */
function specOf(definition: AgentDefinition): CommandRuntimeSpec {
  return definition.runtime as CommandRuntimeSpec;
}

async function programOf(
  spec: CommandRuntimeSpec,
  agent: AgentDefinition,
  places: ProgramPlaces,
): Promise<FoundProgram> {
  if (spec.shell === true) {
    // After the text comes $0, then the arguments as $1 and on: values never become code.
    return { file: '/bin/sh', leading: ['-c', spec.command ?? '', agent.name] };
  }
  return neededProgram(spec.program ?? '', agent.name, places);
}

type Scope = Readonly<Record<string, unknown>>;

/** Each element is exactly one argument: nothing is split, joined or left out. */
function argumentsOf(templates: readonly (string | number)[], scope: Scope): string[] {
  return templates.map((template) => {
    const value = expand(template, scope);
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

async function directoryOf(spec: CommandRuntimeSpec, scope: Scope): Promise<string | undefined> {
  if (spec.directory === undefined) return undefined;
  return usableDirectory(expand(spec.directory, scope));
}

function inputOf(spec: CommandRuntimeSpec, input: unknown): string | undefined {
  if (spec.stdin === undefined || spec.stdin === 'none') return undefined;
  if (spec.stdin === 'text' && typeof input === 'string') return input;
  return JSON.stringify(input ?? null);
}

function throwIfCancelled(signal: AbortSignal, agent: string): void {
  if (signal.aborted) throw abortError(signal, agent);
}

/** What a program that failed had written: its next attempt may go on from there. */
function partialOf(stdout: string): { partial?: string } {
  return stdout === '' ? {} : { partial: stdout.slice(0, partialLength) };
}
