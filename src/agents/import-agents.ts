/** Imports definition files of others: the predecessor's, and Claude Code's as they are. */
import type { ImportComplaint } from './import-complaint.ts';
import type { Converted } from './import-convert.ts';
import { findFiles, readBounded, type FoundFile } from './import-files.ts';
import { interpretFile, type Interpreted } from './import-interpret.ts';
import { agentNames, type AgentNames } from './import-names.ts';
import { openTarget, writeDefinition, type TargetFolder } from './import-write.ts';

export interface ImportOptions {
  /** The folder that definitions are written to. */
  readonly to: string;
  /** Agents that exist beside the imported ones and may be invoked by them. */
  readonly known: readonly string[];
  /** Those of them that are part of the product: an imported one of that name takes its place. */
  readonly shipped?: readonly string[];
  readonly force?: boolean;
  /** Writes nothing, and says what would be. */
  readonly plan?: boolean;
  /** Called after each file. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * What came of one file. `imported`: everything of it is in the definition. `losses`: something was
 * left out, and a warning says what. `refused`: an error says why, and nothing was written.
 * `unchanged`: the definition is there already, byte for byte.
 */
export interface ImportedFile {
  readonly file: string;
  readonly status: 'imported' | 'losses' | 'refused' | 'unchanged';
  readonly agent?: string;
  /** The file that was written, or would be. */
  readonly target?: string;
  /** In the order of lines. */
  readonly complaints: readonly ImportComplaint[];
}

/**
 * Imports the files, and those of the folders. Each is written whole or not at all, never over a
 * file that says something else unless `force`. Never throws for what a file may hold, nor for one
 * that can't be read or written: that one is refused.
 */
export async function importAgents(
  paths: readonly string[],
  options: ImportOptions,
): Promise<ImportedFile[]> {
  const files = await findFiles(paths);
  const batch = await survey(files, options.known);
  const target = await openTarget(options.to);
  const results: ImportedFile[] = [];
  for (const found of files) {
    results.push(await importFile(found, { batch, target, options }));
    options.onProgress?.(results.length, files.length);
  }
  return results;
}

/** What the files say of each other. */
interface Batch {
  readonly resolveAgent: AgentNames;
  /** The first file of each name and each uuid. */
  readonly byName: ReadonlyMap<string, string>;
  readonly byUuid: ReadonlyMap<string, string>;
}

/** Reads every file once for its name: files call each other in any order. Nothing else is kept of it, since thousands together are large. */
async function survey(files: readonly FoundFile[], known: readonly string[]): Promise<Batch> {
  const byName = new Map<string, string>();
  const byUuid = new Map<string, string>();
  const nobody = { byName, byUuid, resolveAgent: () => undefined };
  for (const found of files) {
    const { result } = await interpret(found, nobody);
    if (result === undefined) continue;
    if (!byName.has(result.name)) byName.set(result.name, found.file);
    if (result.uuid !== undefined && !byUuid.has(result.uuid)) byUuid.set(result.uuid, found.file);
  }
  return { byName, byUuid, resolveAgent: agentNames([...known, ...byName.keys()]) };
}

async function interpret(found: FoundFile, batch: Batch): Promise<Interpreted> {
  const { file } = found;
  const read = found.refused === undefined ? await readBounded(file) : found;
  if ('bytes' in read) {
    const sameUuid = (uuid: string): string | undefined => {
      const first = batch.byUuid.get(uuid);
      return first === file ? undefined : first;
    };
    return interpretFile(read.bytes, { file, resolveAgent: batch.resolveAgent, sameUuid });
  }
  return { complaints: read.refused === undefined ? [] : [refusal(file, read.refused)] };
}

function refusal(
  file: string,
  why: { readonly message: string; readonly instead: string },
): ImportComplaint {
  return { file, line: 1, column: 1, severity: 'error', ...why };
}

async function importFile(
  found: FoundFile,
  { batch, target, options }: { batch: Batch; target: TargetFolder; options: ImportOptions },
): Promise<ImportedFile> {
  const { file } = found;
  const { result, complaints } = await interpret(found, batch);
  if (result === undefined) return { file, status: 'refused', complaints };
  const refuse = (message: string, instead: string): ImportedFile => ({
    file,
    status: 'refused',
    agent: result.name,
    complaints: [refusal(file, { message, instead }), ...complaints],
  });
  const first = batch.byName.get(result.name);
  if (first !== undefined && first !== file) {
    return refuse(`the name ${result.name} is that of ${first} too`, 'Rename one of the agents.');
  }
  const written = await writeDefinition(target, result.name, result.text, options);
  if (written.is === 'conflict') return refuse(written.message, written.instead);
  const status = written.is === 'unchanged' ? 'unchanged' : statusOf(complaints);
  const place = takesPlace(result, file, options);
  return {
    file,
    status,
    agent: result.name,
    target: written.file,
    complaints: place === undefined ? complaints : [place, ...complaints],
  };
}

function statusOf(complaints: readonly ImportComplaint[]): 'imported' | 'losses' {
  return complaints.some(({ severity }) => severity === 'warning') ? 'losses' : 'imported';
}

function takesPlace(
  { name }: Converted,
  file: string,
  { shipped = [] }: ImportOptions,
): ImportComplaint | undefined {
  if (!shipped.includes(name)) return undefined;
  const message = `there is a shipped agent ${name}`;
  return {
    file,
    line: 1,
    column: 1,
    severity: 'note',
    message,
    instead: 'this one takes its place',
  };
}
