import { readFile, stat } from 'node:fs/promises';
import { suggest } from '../base/base.ts';
import type { AgentDefinition, Problem } from './agents.ts';
import type { CommandRuntimeSpec } from './runtimes/command-spec.ts';
import { offsetAt, type Path } from './fields.ts';
import { definitionFiles, fileProblem } from './folders.ts';
import { readFrontmatter } from './frontmatter.ts';
import { parseAgent } from './parse.ts';
import { missingOf } from './runtimes/command.ts';

export interface LintOptions {
  readonly packageRoot: string;
  /** The variables that requirements are looked up in. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Agents that exist beside the linted ones and may be invoked by them. */
  readonly known?: readonly string[];
}

export interface LintResult {
  readonly definitions: readonly AgentDefinition[];
  /** In the order of files and lines. */
  readonly problems: readonly Problem[];
}

/**
 * Holds definition files, and the folders of them, against the format and against each other.
 * Errors: what the parser finds, two of one name, `invokes` naming nobody. Warnings: circles of
 * `invokes`, what a command needs and is not here, a shell, an empty prompt.
 */
export async function lintAgents(
  paths: readonly string[],
  options: LintOptions,
): Promise<LintResult> {
  const problems: Problem[] = [];
  const definitions: AgentDefinition[] = [];
  for (const file of await filesOf(paths, problems)) {
    try {
      const parsed = parseAgent(await readFile(file), file);
      problems.push(...parsed.problems);
      if (parsed.definition !== undefined) definitions.push(parsed.definition);
    } catch (error) {
      problems.push(fileProblem(file, `the file can not be read: ${String(error)}`));
    }
  }
  const names = new Map<string, AgentDefinition>();
  for (const definition of definitions) {
    const first = names.get(definition.name);
    if (first === undefined) names.set(definition.name, definition);
    else problems.push(at(definition, ['name'], 'error', `already defined in ${first.file}`));
  }
  const known = new Set([...names.keys(), ...(options.known ?? [])]);
  for (const definition of definitions) {
    problems.push(...unknownInvokes(definition, known), ...(await looks(definition, options)));
  }
  problems.push(...circles(names));
  problems.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column);
  return { definitions, problems };
}

async function filesOf(paths: readonly string[], problems: Problem[]): Promise<Set<string>> {
  const files = new Set<string>();
  for (const path of paths) {
    const isFolder = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    for (const file of isFolder ? await definitionFiles(path, problems) : [path]) files.add(file);
  }
  return files;
}

function unknownInvokes(definition: AgentDefinition, known: ReadonlySet<string>): Problem[] {
  return definition.invokes.flatMap((name, index) => {
    if (known.has(name)) return [];
    const near = suggest(name, known);
    const message = `invokes ${name}, and there is no such agent`;
    const suggestion = near && `Did you mean ${near}?`;
    return [at(definition, ['centuria', 'invokes', index], 'error', message, suggestion)];
  });
}

async function looks(definition: AgentDefinition, options: LintOptions): Promise<Problem[]> {
  const problems: Problem[] = [];
  const warn = (path: Path, message: string, suggestion?: string): void =>
    void problems.push(at(definition, path, 'warning', message, suggestion));
  if (definition.prompt === '') {
    warn([], 'the prompt is empty', 'Say after the frontmatter what the agent does.');
  }
  if (definition.runtime?.kind !== 'command') return problems;
  const path = ['centuria', 'runtime'];
  if ((definition.runtime as CommandRuntimeSpec).shell === true) {
    const message = 'the command is run by a shell, whose rules are harder to get right';
    warn([...path, 'shell'], message, 'Use program and arguments where they can say it.');
  }
  const places = { packageRoot: options.packageRoot, path: options.environment['PATH'] };
  const missing = await missingOf(definition, places, options.environment);
  if (missing !== undefined) warn(path, `would be unavailable here: ${missing}`);
  return problems;
}

/** Each circle once, at its first agent by name. Agents may call each other; without an end is a mistake. */
function circles(agents: ReadonlyMap<string, AgentDefinition>): Problem[] {
  return [...agents.values()].flatMap((start) => {
    const circle = shortestCircle(start, agents);
    if (circle === undefined || circle.some((name) => name < start.name)) return [];
    const message = `invokes itself in a circle: ${[...circle, start.name].join(' → ')}`;
    return [at(start, ['centuria', 'invokes'], 'warning', message)];
  });
}

/** The agents on the shortest way from one back to itself, breadth first. */
function shortestCircle(
  start: AgentDefinition,
  agents: ReadonlyMap<string, AgentDefinition>,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  // The queue grows while it is walked.
  const queue = [start.name];
  for (const name of queue) {
    for (const next of agents.get(name)?.invokes ?? []) {
      if (next === start.name) {
        const way = [name];
        for (let step = name; step !== start.name; way.unshift(step)) {
          step = cameFrom.get(step) ?? start.name;
        }
        return way;
      }
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, name);
      queue.push(next);
    }
  }
  return undefined;
}

function at(
  definition: AgentDefinition,
  path: Path,
  severity: Problem['severity'],
  message: string,
  suggestion?: string,
): Problem {
  const found: Problem[] = [];
  const front = readFrontmatter(definition.source, definition.file, found);
  front?.report(severity, offsetAt(front, path), message, suggestion);
  // What reading alone complains of was told before; the last one is ours.
  return found.at(-1) ?? { ...fileProblem(definition.file, message), severity };
}
