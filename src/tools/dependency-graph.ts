/** How the scripts of a repository hang together, and whether what they import is there and declared. */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { ToolReport } from '../base/base.ts';
import { components, layers, shortestCycle } from './cycles.ts';
import { readLockFiles } from './lockfiles.ts';
import { readModules, type ImportRef, type Module, type ModuleGraph } from './modules.ts';
import {
  declared,
  dependencyFields,
  foldersUp,
  folderOf,
  lineOfKey,
  type Package,
} from './packages.ts';
import { isGenerated, isLockFile, isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { isDeclaration } from './syntax.ts';
import type { ToolContext } from './tools.ts';

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('dependency-graph', context.limit);
  const graph = readModules(repository, report);
  report.metric('modules', graph.modules.size);
  if (graph.modules.size === 0) {
    report.notes(repository.notes());
    return report.build('Nothing to examine: no JavaScript or TypeScript.');
  }
  const cycles = addCycles(graph, report);
  const broken = addBrokenImports(graph, repository.top, report);
  const undeclared = addUndeclared(graph, report);
  const unused = addUnused(graph, repository, report);
  if (graph.packages.length === 0)
    report.note(
      'There is no package.json, so what is declared could not be compared with what is imported.',
    );
  const opaque = [...graph.modules.values()].filter((item) => item.isOpaque).length;
  if (opaque > 0)
    report.note(
      `${count(opaque, 'script')} import by a computed name; what that leads to is not known.`,
    );
  report.notes(repository.notes());
  return report.build(
    `${count(graph.modules.size, 'script')}: ${count(cycles, 'import cycle')}, ${count(broken, 'import')} that lead nowhere, ` +
      `${count(undeclared, 'undeclared package')}, ${unused} declared and not imported.`,
  );
}

/** Imports that bind when a module loads; what only types need is gone by then, and lazy ones come later. */
export function bindings(graph: ModuleGraph): Map<string, Map<string, ImportRef>> {
  const edges = new Map<string, Map<string, ImportRef>>();
  for (const [path, module] of graph.modules) {
    const targets = new Map<string, ImportRef>();
    for (const item of module.imports) {
      const { target } = item;
      if (target.kind !== 'file' || !graph.modules.has(target.path)) continue;
      const binds = item.kind === 'import' || item.kind === 'reexport' || item.kind === 'require';
      if (!binds || isDeclaration(target.path) || onlyTypes(item, graph.modules.get(target.path)))
        continue;
      if (!targets.has(target.path)) targets.set(target.path, item);
    }
    edges.set(path, targets);
  }
  return edges;
}

/** `import { Shape }` without `type`, where Shape is an interface: the compiler drops it too. */
function onlyTypes(item: ImportRef, target: Module | undefined): boolean {
  if (target === undefined || item.names.length === 0) return false;
  return item.names.every((name) => target.exports.some((out) => out.name === name && out.isType));
}

function addCycles(graph: ModuleGraph, report: ReportBuilder): number {
  const edges = bindings(graph);
  const plain = new Map([...edges].map(([path, targets]) => [path, [...targets.keys()]]));
  const parts = components(plain);
  let cycles = 0;
  for (const part of parts) {
    const first = part.toSorted()[0];
    if (first === undefined) continue;
    if (part.length === 1 && edges.get(first)?.has(first) !== true) continue;
    cycles += 1;
    const way = shortestCycle(plain, part, first);
    const closing = edges.get(first)?.get(way[1] ?? first);
    report.add({
      severity: isTest(first) || isGenerated(first) ? 'low' : 'medium',
      rule: 'import-cycle',
      message:
        part.length === 1
          ? `${first} imports itself.`
          : `${count(part.length, 'script')} import each other in a cycle: ${[...way, first].join(' → ')}.`,
      file: first,
      ...(closing === undefined ? {} : { line: closing.line, column: closing.column }),
      ...(part.length > way.length
        ? { evidence: `all of them: ${part.toSorted().join(', ')}` }
        : {}),
      fix: 'Move what both need into a third module, or pass it in instead of importing it.',
    });
  }
  report.metric('cycles', cycles);
  report.metric('layers', layers(plain, parts));
  report.metric(
    'imports',
    [...edges.values()].reduce((sum, targets) => sum + targets.size, 0),
  );
  return cycles;
}

function addBrokenImports(graph: ModuleGraph, top: string, report: ReportBuilder): number {
  let broken = 0;
  for (const [path, module] of graph.modules) {
    if (isGenerated(path)) continue;
    for (const item of module.imports) {
      if (item.target.kind !== 'missing' && item.target.kind !== 'outside') continue;
      broken += 1;
      const place = { file: path, line: item.line, column: item.column };
      if (item.target.kind === 'outside') {
        report.add({
          ...place,
          severity: isTest(path) ? 'low' : 'medium',
          rule: 'import-outside',
          message: `Imports ${item.specifier}, which is outside of the repository.`,
          fix: 'Depend on it as a package, or bring it in.',
        });
        continue;
      }
      const generated = isMade(item.target.path, top);
      report.add({
        ...place,
        severity: generated || isTest(path) ? 'low' : item.kind === 'dynamic' ? 'medium' : 'high',
        rule: generated ? 'untracked-import' : 'unresolved-import',
        message: generated
          ? `Imports ${item.specifier}, which is not tracked: a build has to make it first.`
          : `Imports ${item.specifier}, and there is no such file.`,
        fix: generated
          ? 'See that a fresh clone makes it before it is needed.'
          : 'Correct the path, or commit the file.',
      });
    }
  }
  return broken;
}

/** There, though not tracked; or in a place where builds put what they make. */
function isMade(path: string, top: string): boolean {
  if (isGenerated(path) || /(^|\/)(__)?(generated|gen|wasm|pkg|\.\w[\w-]*)(__)?(\/|$)/.test(path))
    return true;
  return ['', '.ts', '.js', '.json', '.mjs'].some(
    (extension) => lstatSync(join(top, path + extension), { throwIfNoEntry: false }) !== undefined,
  );
}

function addUndeclared(graph: ModuleGraph, report: ReportBuilder): number {
  const seen = new Set<string>();
  for (const [path, module] of graph.modules) {
    const owner = graph.resolver.packageOf(path);
    if (owner === undefined || isGenerated(path)) continue;
    for (const item of module.imports) {
      if (item.target.kind !== 'package') continue;
      const { name } = item.target;
      if (isDeclared(name, path, graph, item.kind === 'type' || isDeclaration(path))) continue;
      // Once for each package and name: the other places follow from the same omission.
      const key = `${owner.file} ${name}`;
      if (seen.has(key)) continue;
      seen.add(key);
      report.add({
        severity: isTest(path) || item.kind === 'type' || item.kind === 'dynamic' ? 'low' : 'high',
        rule: 'undeclared-package',
        message: `Imports ${name}, which ${owner.file} does not declare.`,
        file: path,
        line: item.line,
        column: item.column,
        fix: `Add ${name} to the dependencies: it is there only while something else happens to bring it.`,
      });
    }
  }
  return seen.size;
}

function isDeclared(name: string, path: string, graph: ModuleGraph, asTypes: boolean): boolean {
  if (graph.resolver.isOwnPackage(name)) return true;
  const types = `@types/${name.replace(/^@/, '').replace('/', '__')}`;
  const folders = new Set(foldersUp(folderOf(path)));
  return graph.packages.some(
    (item) =>
      folders.has(item.folder) &&
      dependencyFields.some((field) => {
        const list = declared(item, field);
        return list.has(name) || (asTypes && list.has(types));
      }),
  );
}

/** Only `dependencies`: what development needs is mostly named by tools and not by imports. */
function addUnused(graph: ModuleGraph, repository: Repository, report: ReportBuilder): number {
  const candidates = graph.packages.flatMap((item) =>
    [...declared(item, 'dependencies').keys()].map((name) => ({ item, name })),
  );
  const imported = importedByFolder(graph);
  let open = candidates.filter(({ item, name }) => {
    if (name.startsWith('@types/') || graph.resolver.isOwnPackage(name) || isTest(item.file))
      return false;
    return ![...(imported.get(name) ?? [])].some((path) => isUnder(path, item.folder));
  });
  if (open.length === 0) return 0;
  const brought = new Set<string>();
  for (const lock of readLockFiles(repository, (text) => report.note(text)))
    for (const item of lock.packages) for (const name of item.peers) brought.add(name);
  open = open.filter(({ name }) => !brought.has(name));
  const mentioned = mentionedNames(
    new Set(open.map(({ name }) => name)),
    repository,
    graph.packages,
  );
  const unused = open.filter(({ name }) => !mentioned.has(name));
  for (const { item, name } of unused)
    report.add({
      severity: 'low',
      rule: 'unused-dependency',
      message: `${item.file} declares ${name}, which nothing imports or names.`,
      file: item.file,
      line: lineOfKey(item.text, 'dependencies', name),
      fix: `Remove it (npm uninstall ${name}), unless something loads it by a name that is not written here.`,
    });
  return unused.length;
}

function isUnder(path: string, folder: string): boolean {
  return folder === '' || path.startsWith(`${folder}/`);
}

function importedByFolder(graph: ModuleGraph): Map<string, string[]> {
  const imported = new Map<string, string[]>();
  for (const [path, module] of graph.modules)
    for (const { target } of module.imports)
      if (target.kind === 'package')
        imported.set(target.name, [...(imported.get(target.name) ?? []), path]);
  return imported;
}

/** Names that stand somewhere besides lock files, prose and the lists of dependencies. */
function mentionedNames(
  names: ReadonlySet<string>,
  repository: Repository,
  packages: readonly Package[],
): Set<string> {
  const found = new Set<string>();
  if (names.size === 0) return found;
  const alternatives = [...names].map((name) =>
    name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`),
  );
  const pattern = new RegExp(String.raw`(?<![\w@/.-])(?:${alternatives.join('|')})(?![\w-])`, 'g');
  const search = (text: string) => {
    for (const [name] of text.matchAll(pattern)) found.add(name);
  };
  for (const item of packages) {
    const rest = Object.entries(item.json).filter(
      ([field]) => !/dependencies|^name$|^description$|^keywords$/i.test(field),
    );
    search(JSON.stringify(rest));
  }
  const skip = new Set(packages.map((item) => item.file));
  const wanted = (path: string) =>
    !skip.has(path) && !isLockFile(path) && !/\.(md|mdx|txt|svg|csv|map)$/i.test(path);
  for (const { text } of repository.texts((file) => wanted(file.path), 512 * 1024)) search(text);
  return found;
}
