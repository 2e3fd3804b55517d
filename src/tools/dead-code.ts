/** Scripts that nothing reaches and exports that nobody takes, by the imports of the whole repository. */
import type { ToolReport } from '../base/base.ts';
import { mentionsIn, readModules, type Module, type ModuleGraph } from './modules.ts';
import { declared, dependencyFields, folderOf, joinInside, type Package } from './packages.ts';
import { isGenerated, isLockFile, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { stringsIn } from './resolve.ts';
import { isDeclaration, isScript } from './syntax.ts';
import type { ToolContext } from './tools.ts';

/** Read by a program that knows them by name: settings, tests, stories, scripts run by hand. */
const namedEntry =
  /(^|\/)(\.[^/]+\/.*|\.[\w-]+rc\.[mc]?js|[^/]+\.(config|conf|setup|stories|story|bench|worker|e2e|cy|page|route)\.[mc]?[jt]sx?|(gulp|grunt|cake)file\.[mc]?[jt]s|(scripts|tools|bin|migrations|seeds|seeders|examples?|demos?|docs|website|playground|benchmarks?|bench|e2e|cypress|stories|templates?|public|static|assets|functions|netlify|api)\/.*)$/i;
const testEntry =
  /(^|\/)(tests?|specs?|__tests__|__mocks__)\/|[._-](test|spec|tests|specs|tst|test-d)\.[mc]?[jt]sx?$/i;
/** Frameworks that find their modules by where they lie. */
const routed =
  /^(next|nuxt|@remix-run\/|@react-router\/|@sveltejs\/kit|astro|gatsby|expo-router|@nestjs\/core|@angular\/core|ember-source|@redwoodjs\/|blitz|vike|@solidjs\/start|@tanstack\/(react-)?start|hexo|vitepress|vuepress|serverless|@adonisjs\/core|sails|umi|@docusaurus\/core|fumadocs|@fastify\/autoload|typeorm|sequelize|knex)/;
/** Where a package without any named entry begins. */
const usualEntry = /^(src\/)?(index|main|server|app|cli|mod)\.[mc]?[jt]sx?$/;

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

/** What runs or is read without being imported; generous, because a false alarm here deletes code. */
export function findEntries(graph: ModuleGraph, repository: Repository): Set<string> {
  const entries = new Set<string>();
  for (const item of graph.packages)
    for (const path of packageEntries(item, graph)) entries.add(path);
  for (const [path, module] of graph.modules) {
    const owner = graph.resolver.packageOf(path);
    const usual = usualEntry.test(
      owner === undefined || owner.folder === '' ? path : path.slice(owner.folder.length + 1),
    );
    if (
      usual ||
      module.hasHashbang ||
      isDeclaration(path) ||
      isGenerated(path) ||
      testEntry.test(path) ||
      isTest(path) ||
      namedEntry.test(path) ||
      (owner === undefined ? graph.packages.length > 0 : routesByPlace(owner))
    )
      entries.add(path);
  }
  addMentioned(graph, repository, entries);
  return entries;
}

function routesByPlace(item: Package): boolean {
  return dependencyFields.some((field) =>
    [...declared(item, field).keys()].some((name) => routed.test(name)),
  );
}

/** Files that a package.json names, in the source where it names what is built. */
function packageEntries(item: Package, graph: ModuleGraph): string[] {
  const fields = [
    'main',
    'module',
    'browser',
    'types',
    'typings',
    'source',
    'bin',
    'exports',
    'imports',
    'react-native',
    'jsdelivr',
    'unpkg',
  ];
  const named = fields.flatMap((field) => stringsIn(item.json[field]));
  const found: string[] = [];
  for (const name of named) {
    if (!name.includes('*')) {
      const path = graph.resolver.findSource(item.folder, name);
      if (path !== undefined) found.push(path);
      continue;
    }
    // `./*` exports all that lies there, under the name it has there or before it was compiled.
    const prefix = name.replace(/^\.\//, '').split('*')[0] ?? '';
    const places = [prefix, prefix.replace(/^(dist|lib|build|out|es|esm|cjs)\//, 'src/')];
    for (const place of places) {
      const start = joinInside(item.folder, `${place}x`)?.slice(0, -1);
      if (start === undefined) continue;
      for (const path of graph.modules.keys()) if (path.startsWith(start)) found.push(path);
    }
  }
  const scripts = [item.json['scripts'], item.json['config'], item.json['nx'], item.json['wireit']];
  for (const text of scripts.flatMap(stringsIn))
    for (const name of mentionsIn(text)) {
      const path = graph.resolver.findSource(item.folder, name);
      if (path !== undefined) found.push(path);
    }
  return found;
}

/** Scripts whose path stands in another file: HTML, YAML, a shell script, a string that a loader gets. */
function addMentioned(graph: ModuleGraph, repository: Repository, entries: Set<string>): void {
  const byStem = new Map<string, string[]>();
  for (const path of graph.modules.keys()) {
    const key = stemOf(path).split('/').at(-1) ?? '';
    byStem.set(key, [...(byStem.get(key) ?? []), path]);
  }
  const meet = (from: string, mention: string) => {
    const stem = stemOf(mention).replace(/^(\.{1,2}\/)+|^[/@~$]+\/?/, '');
    const candidates = byStem.get(stem.split('/').at(-1) ?? '') ?? [];
    const near = joinInside(folderOf(from), mention);
    for (const path of candidates) {
      if (path === from) continue;
      const said = stem.includes('/')
        ? `/${stemOf(path)}`.endsWith(`/${stem.replace(/^(dist|build|lib|out)\//, '')}`)
        : candidates.length === 1 || (near !== undefined && stemOf(near) === stemOf(path));
      if (said) entries.add(path);
    }
  };
  for (const module of graph.modules.values())
    for (const mention of module.mentions) meet(module.path, mention);
  for (const { path, text } of repository.texts((file) => mayMention(file.path), 512 * 1024))
    for (const mention of mentionsIn(text)) meet(path, mention);
  // Components of other languages import scripts without being scripts.
  for (const { path, text } of repository.texts((file) =>
    /\.(vue|svelte|astro|mdx)$/.test(file.path),
  ))
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"\n]+)['"]/g)) {
      const target = graph.resolver.resolve(path, specifier ?? '');
      if (target.kind === 'file') entries.add(target.path);
    }
}

/** Prose names files for people; whether they run is decided elsewhere. */
function mayMention(path: string): boolean {
  return (
    !isScript(path) &&
    !isVendored(path) &&
    !isLockFile(path) &&
    !/\.(md|txt|svg|csv|map|snap)$/i.test(path)
  );
}

/** Without the ending; `index` of a folder keeps its name. */
function stemOf(path: string): string {
  return path.replace(/(\.d)?\.(?:[mc]?[jt]sx?|vue|svelte)$/, '');
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
