import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { AgentRegistry } from '../agents/agents.ts';
import { AppError, suggest, type Config } from '../base/base.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { WorkflowProblem } from './types.ts';
import { parseWorkflow, type KnownAgents, type ParsedWorkflow } from './workflow.ts';

const maxFileBytes = 1024 * 1024;

export interface LoadedWorkflows {
  readonly definitions: readonly WorkflowDefinition[];
  readonly problems: readonly WorkflowProblem[];
}

/** Where workflows are looked for; a later folder's workflow takes the place of an earlier one's. */
export function workflowFolders(config: Pick<Config, 'home' | 'values'>, root: string): string[] {
  return [
    join(root, 'workflows'),
    join(config.home, 'workflows'),
    ...config.values.workflowFolders,
  ];
}

/**
 * Reads every `*.yaml` and `*.yml` of the folders. Of two workflows with one name the later folder's
 * counts. What is wrong with a file keeps only that file out. A missing folder is empty.
 */
export async function loadWorkflows(
  folders: readonly string[],
  agents?: KnownAgents,
): Promise<LoadedWorkflows> {
  const byName = new Map<string, WorkflowDefinition>();
  const problems: WorkflowProblem[] = [];
  for (const folder of folders) {
    const seen = new Map<string, string>();
    for (const file of await workflowFiles(folder)) {
      const parsed = await readWorkflow(file, agents);
      problems.push(...parsed.problems);
      const { definition } = parsed;
      if (definition === undefined) continue;
      const other = seen.get(definition.name);
      if (other !== undefined) {
        problems.push({
          file,
          line: 1,
          column: 1,
          message: `the name ${definition.name} is taken by ${other}`,
        });
        continue;
      }
      seen.set(definition.name, file);
      byName.set(definition.name, definition);
    }
  }
  return { definitions: [...byName.values()], problems };
}

/** The workflows of folders, read again only when a file or an agent has changed. */
export class WorkflowFiles {
  readonly #folders: readonly string[];
  readonly #registry: AgentRegistry;
  #loaded: { readonly key: string; readonly workflows: LoadedWorkflows } | undefined;
  #looking: Promise<LoadedWorkflows> | undefined;
  #next: Promise<LoadedWorkflows> | undefined;

  constructor(folders: readonly string[], registry: AgentRegistry) {
    this.#folders = folders;
    this.#registry = registry;
  }

  /** What the files say now. One look serves all who asked before it began: starts come by the hundred. */
  load(): Promise<LoadedWorkflows> {
    if (this.#looking === undefined) return this.#begin();
    // The look under way may have passed a file that was changed since.
    this.#next ??= this.#looking.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<LoadedWorkflows> {
    this.#next = undefined;
    const looking = this.#look().finally(() => {
      if (this.#looking === looking) this.#looking = undefined;
    });
    this.#looking = looking;
    return looking;
  }

  async #look(): Promise<LoadedWorkflows> {
    const known = this.#registry.list();
    const agents = new Map(known.map((agent) => [agent.name, agent]));
    const stamps: string[] = known.map(({ name, hash }) => `${name} ${hash}`);
    for (const folder of this.#folders) {
      for (const file of await workflowFiles(folder)) {
        const found = await stat(file, { bigint: true }).catch(() => undefined);
        stamps.push(`${file} ${found?.ino} ${found?.mtimeNs} ${found?.ctimeNs} ${found?.size}`);
      }
    }
    const key = stamps.join('\n');
    if (this.#loaded?.key !== key) {
      this.#loaded = { key, workflows: await loadWorkflows(this.#folders, agents) };
    }
    return this.#loaded.workflows;
  }
}

/** Reads and checks one workflow file. */
export async function readWorkflow(file: string, agents?: KnownAgents): Promise<ParsedWorkflow> {
  try {
    const { size } = await stat(file);
    if (size > maxFileBytes) throw new Error(`it has ${size} bytes; ${maxFileBytes} are allowed`);
    return parseWorkflow(await readFile(file, 'utf8'), file, agents);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { definition: undefined, problems: [{ file, line: 1, column: 1, message }] };
  }
}

/** The workflow of a name; throws `workflow_not_found`, or `workflow_invalid` when its file has a problem. */
export function findWorkflow(name: string, loaded: LoadedWorkflows): WorkflowDefinition {
  const found = loaded.definitions.find((each) => each.name === name);
  if (found !== undefined) return found;
  const broken = loaded.problems.filter(({ file }) =>
    [`${name}.yaml`, `${name}.yml`].includes(basename(file)),
  );
  const first = broken[0];
  if (first !== undefined) {
    throw new AppError(
      'workflow_invalid',
      `${first.file}:${first.line}:${first.column}: ${first.message}`,
      {
        details: { problems: broken },
        remedy:
          first.suggestion ??
          'Mend the file; `centuria workflow lint` lists everything that is wrong.',
      },
    );
  }
  const names = loaded.definitions.map((each) => each.name);
  const near = suggest(name, names);
  throw new AppError('workflow_not_found', `there is no workflow ${name}`, {
    details: { workflow: name },
    remedy:
      near === undefined ? `There are: ${names.join(', ') || 'none'}.` : `Did you mean ${near}?`,
  });
}

async function workflowFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new AppError('config_invalid', `the workflow folder ${folder} can not be read`, {
      cause: error,
    });
  });
  return names
    .filter((name) => /\.ya?ml$/.test(name))
    .toSorted()
    .map((name) => join(folder, name));
}
