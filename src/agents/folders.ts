import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../base/base.ts';
import type { AgentDefinition, Problem } from './agents.ts';
import { maxSourceBytes, tooLargeRemedy } from './frontmatter.ts';
import { parseAgent } from './parse.ts';

export interface AgentFolder {
  readonly path: string;
  /** Part of the product: a definition of the same name in a later folder takes its place. */
  readonly shipped: boolean;
}

/** All definitions of some folders at one moment. */
export interface FolderContents {
  /** By name; of two the one that counts. */
  readonly definitions: ReadonlyMap<string, AgentDefinition>;
  /** By file: what to fall back on when the file is broken later. */
  readonly byFile: ReadonlyMap<string, AgentDefinition>;
  readonly problems: readonly Problem[];
}

export const noContents: FolderContents = {
  definitions: new Map(),
  byFile: new Map(),
  problems: [],
};

/** Where definitions are looked for; a later folder's definition takes the place of an earlier one's. */
export function agentFolders(config: Pick<Config, 'home' | 'values'>, root: string): AgentFolder[] {
  return [
    { path: join(root, 'agents'), shipped: true },
    ...[join(config.home, 'agents'), ...config.values.agentFolders].map((path) => ({
      path,
      shipped: false,
    })),
  ];
}

const maxFiles = 5_000;

/**
 * Reads the `*.md` files that lie directly in the folders, without README.md. A file that is wrong
 * now keeps the definition that `last` has of it, and its problems are listed.
 */
export async function readFolders(
  folders: readonly AgentFolder[],
  last: FolderContents,
): Promise<FolderContents> {
  const problems: Problem[] = [];
  const byFile = new Map<string, AgentDefinition>();
  const definitions = new Map<string, AgentDefinition>();
  for (const folder of folders) {
    const inFolder = new Map<string, AgentDefinition>();
    for (const file of await definitionFiles(folder.path, problems)) {
      const definition = await readDefinition(file, last.byFile.get(file), problems);
      if (definition === undefined) continue;
      byFile.set(file, definition);
      const first = inFolder.get(definition.name);
      if (first === undefined) inFolder.set(definition.name, definition);
      else problems.push(duplicateProblem(definition, first, 'error'));
    }
    for (const definition of inFolder.values()) {
      const hidden = definitions.get(definition.name);
      if (hidden !== undefined) problems.push(duplicateProblem(definition, hidden, 'warning'));
      definitions.set(definition.name, definition);
    }
  }
  return { definitions, byFile, problems };
}

/** The files of one folder in the order of their names. */
export async function definitionFiles(folder: string, problems: Problem[]): Promise<string[]> {
  try {
    const names = await readdir(folder);
    const files = names.filter((name) => isDefinitionFile(name)).toSorted();
    if (files.length > maxFiles) {
      const message = `the folder has ${files.length} definitions, more than ${maxFiles}`;
      problems.push(fileProblem(folder, message));
    }
    return files.slice(0, maxFiles).map((name) => join(folder, name));
  } catch (error) {
    problems.push(fileProblem(folder, `the folder can not be read: ${String(error)}`));
    return [];
  }
}

/** Hidden files are what editors write before they rename. */
export function isDefinitionFile(name: string): boolean {
  return name.endsWith('.md') && !name.startsWith('.') && name !== 'README.md';
}

async function readDefinition(
  file: string,
  last: AgentDefinition | undefined,
  problems: Problem[],
): Promise<AgentDefinition | undefined> {
  try {
    const { size } = await stat(file);
    if (size > maxSourceBytes) {
      problems.push({
        ...fileProblem(file, `the file has ${size} bytes, more than ${maxSourceBytes}`),
        suggestion: tooLargeRemedy,
      });
      return last;
    }
    const parsed = parseAgent(await readFile(file), file);
    problems.push(...parsed.problems);
    return parsed.definition ?? last;
  } catch (error) {
    // Gone since the folder was listed: gone on purpose, or back at the next look.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    problems.push(fileProblem(file, `the file can not be read: ${String(error)}`));
    return last;
  }
}

function duplicateProblem(
  definition: AgentDefinition,
  other: AgentDefinition,
  severity: Problem['severity'],
): Problem {
  const message =
    severity === 'error'
      ? `the agent ${definition.name} is already defined in ${other.file}`
      : `takes the place of the agent ${definition.name} of ${other.file}`;
  return { file: definition.file, line: 1, column: 1, severity, message };
}

export function fileProblem(file: string, message: string): Problem {
  return { file, line: 1, column: 1, severity: 'error', message };
}
