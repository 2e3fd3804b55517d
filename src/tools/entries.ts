/** Where the scripts of a repository begin: what runs or is read without being imported. */
import { mentionsIn, type ModuleGraph } from './modules.ts';
import { declared, dependencyFields, folderOf, joinInside, type Package } from './packages.ts';
import { isGenerated, isLockFile, isTest, isVendored } from './paths.ts';
import type { Repository } from './repository.ts';
import { stringsIn } from './resolve.ts';
import { isDeclaration, isScript } from './syntax.ts';

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

/** Whether a framework finds the modules of this package by where they lie. */
export function routesByPlace(item: Package): boolean {
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
