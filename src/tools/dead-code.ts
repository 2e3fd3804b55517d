/** Scripts that nothing reaches and exports that nobody takes, by the imports of the whole repository. */
import type { ToolReport } from '../base/base.ts';
import { findEntries, routesByPlace } from './entries.ts';
import { readModules, type Module, type ModuleGraph } from './modules.ts';
import { folderOf } from './packages.ts';
import { isGenerated, isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('dead-code', context.limit);
  const graph = readModules(repository, report);
  const own = [...graph.modules.keys()].filter((path) => !isGenerated(path));
  report.metric('modules', own.length);
  if (own.length === 0) {
    report.notes(repository.notes());
    return report.build('Nothing to examine: no JavaScript or TypeScript of its own.');
  }
  const entries = findEntries(graph, repository);
  report.metric('entries', entries.size);
  const { reached, computed, opaqueFolders } = reach(graph, entries);
  let files = 0;
  let exports = 0;
  if (entries.size === 0) {
    report.note(
      'No entry point is named (main, exports, bin, scripts) or usual (src/index, server, …), so files were not judged.',
    );
  } else {
    files = addUnreached(graph, own, reached, report);
    const unread = graph.unparsed.filter((path) => !isTest(path));
    // What a computed name loads is taken whole, as an entry is.
    if (unread.length === 0)
      exports = addUnusedExports(graph, own, new Set([...entries, ...computed]), reached, report);
    else report.note('Exports were not judged: a script that can not be parsed may take them.');
  }
  if (opaqueFolders.length > 0)
    report.note(
      `Imports by computed names in ${opaqueFolders.join(', ')}: scripts below those folders count as reached.`,
    );
  if (graph.packages.some((item) => routesByPlace(item)))
    report.note(
      'A framework that finds modules by their place is used: scripts in its packages count as entries.',
    );
  report.notes(repository.notes());
  return report.build(
    `${count(own.length, 'script')} from ${count(entries.size, 'entry point')}: ${count(files, 'file')} that nothing reaches, ${count(exports, 'export')} that nobody takes.`,
  );
}

function reach(
  graph: ModuleGraph,
  entries: ReadonlySet<string>,
): { reached: Set<string>; computed: Set<string>; opaqueFolders: string[] } {
  const reached = new Set(entries);
  const queue = [...entries];
  const computed = new Set<string>();
  const prefixes = new Set<string>();
  const all = [...graph.modules.keys()];
  const visit = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    queue.push(path);
  };
  for (const path of queue) {
    const module = graph.modules.get(path);
    for (const { target } of module?.imports ?? []) if (target.kind === 'file') visit(target.path);
    // What a computed name may lead to: all below the folder it begins with, or else the module's own.
    const named = [...(module?.prefixes ?? [])];
    if (module?.isOpaque === true && !isTest(path)) named.push(`${folderOf(path)}/`);
    for (const prefix of named) {
      if (prefixes.has(prefix)) continue;
      prefixes.add(prefix);
      for (const other of all) {
        // From the top it could be anything, and all would count: there, only what lies beside it.
        if (prefix === '/' ? other.includes('/') : !other.startsWith(prefix)) continue;
        computed.add(other);
        visit(other);
      }
    }
  }
  const folders = [...prefixes].map((prefix) => (prefix === '/' ? 'the top' : prefix));
  return { reached, computed, opaqueFolders: folders.slice(0, 5) };
}

function addUnreached(
  graph: ModuleGraph,
  own: readonly string[],
  reached: ReadonlySet<string>,
  report: ReportBuilder,
): number {
  const dead = own.filter((path) => !reached.has(path));
  const importers = new Map<string, string>();
  for (const path of dead)
    for (const { target } of graph.modules.get(path)?.imports ?? [])
      if (target.kind === 'file' && target.path !== path) importers.set(target.path, path);
  for (const path of dead) {
    const importer = importers.get(path);
    const owner = graph.resolver.packageOf(path);
    // Without `exports`, users of a published package can import any of its files by path.
    const isOpen = owner?.json['private'] !== true && owner?.json['exports'] === undefined;
    report.add({
      severity: isOpen ? 'low' : 'medium',
      rule: 'unused-file',
      message:
        importer === undefined
          ? 'No entry point reaches this file, and no other file names it.'
          : `Only ${importer} imports this file, and no entry point reaches that.`,
      file: path,
      line: 1,
      fix: 'Delete it; history keeps it. If something outside of the repository runs it, name it in package.json.',
    });
  }
  return dead.length;
}

/** Names taken from each module, through re-exports. */
export function takenNames(graph: ModuleGraph): Map<string, Set<string>> {
  const taken = new Map<string, Set<string>>();
  const queue: { path: string; name: string }[] = [];
  const take = (path: string, name: string) => {
    const names = taken.get(path) ?? new Set();
    taken.set(path, names);
    if (names.has(name)) return;
    names.add(name);
    queue.push({ path, name });
  };
  for (const module of graph.modules.values())
    for (const item of module.imports) {
      if (item.target.kind !== 'file') continue;
      const handedOn = module.exports.some((out) => out.from?.specifier === item.specifier);
      // What is only handed on counts when somebody takes it from there.
      if (handedOn && item.kind !== 'import') continue;
      for (const name of item.names) take(item.target.path, name);
    }
  for (const { path, name } of queue) {
    const module = graph.modules.get(path);
    for (const out of module?.exports ?? []) {
      if (out.from === undefined || !(name === '*' || out.name === name || out.name === '*'))
        continue;
      const target = graph.resolver.resolve(path, out.from.specifier);
      const wanted = out.from.name === '*' ? (out.name === '*' ? name : '*') : out.from.name;
      if (target.kind === 'file') take(target.path, wanted);
    }
  }
  return taken;
}

function addUnusedExports(
  graph: ModuleGraph,
  own: readonly string[],
  entries: ReadonlySet<string>,
  reached: ReadonlySet<string>,
  report: ReportBuilder,
): number {
  // An entry's exports are for the outside, with all that it hands on.
  const taken = takenNames({ ...graph, modules: withEntriesTaken(graph, entries) });
  let unused = 0;
  for (const path of own) {
    const module = graph.modules.get(path);
    if (module === undefined || entries.has(path) || !reached.has(path)) continue;
    const names = taken.get(path);
    if (names?.has('*') === true) continue;
    for (const out of module.exports) {
      if (out.from !== undefined || out.name === '*' || names?.has(out.name) === true) continue;
      // Used in its own file it is only exported for nothing, which is a matter of taste.
      if (module.usedInside.has(out.name)) continue;
      unused += 1;
      report.add({
        severity: 'low',
        rule: out.isType ? 'unused-type' : 'unused-export',
        message: `${out.name === 'default' ? 'The default export' : out.name} is exported, and nothing imports or uses it.`,
        file: path,
        line: out.line,
        column: out.column,
        fix: 'Delete it, with what only it needs.',
      });
    }
  }
  return unused;
}

/** The graph with one more module that takes everything from every entry. */
function withEntriesTaken(graph: ModuleGraph, entries: ReadonlySet<string>): Map<string, Module> {
  const modules = new Map(graph.modules);
  modules.set('\0', {
    path: '\0',
    imports: [...entries].map((path) => ({
      specifier: path,
      line: 1,
      column: 1,
      kind: 'import',
      names: ['*'],
      target: { kind: 'file', path },
    })),
    exports: [],
    prefixes: [],
    isOpaque: false,
    usedInside: new Set(),
    mentions: [],
    hasHashbang: false,
  });
  return modules;
}
