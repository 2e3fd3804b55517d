/** The types of every TypeScript project in a repository, checked by TypeScript 7 without emitting anything. */
import type { Severity, ToolReport } from '../base/base.ts';
import { compile, findCompiler, linkInstalled, type Diagnostic } from './compiler.ts';
import { readModules } from './modules.ts';
import {
  asRecord,
  asStrings,
  declared,
  dependencyFields,
  foldersUp,
  joinInside,
  readPackages,
  readTsConfigs,
  type Package,
  type TsConfig,
} from './packages.ts';
import { isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TrackedFile } from './repository.ts';
import { withSnapshot } from './snapshot.ts';
import { isScript, isTypeScript, maxScriptBytes } from './syntax.ts';
import type { ToolContext } from './tools.ts';

/** What the compiler says where a package or its types are not there: about this machine, not the code. */
const absent = new Set(
  (
    '2304 2307 2318 2503 2552 2580 2581 2582 2583 2584 2591 2592 2593 2688 2694 ' +
    '2732 2792 2834 2835 2875 2882 6137 7016 7026'
  )
    .split(' ')
    .map(Number),
);
const unusedCodes = new Set([6133, 6138, 6192, 6196, 6198, 6199, 6205]);
const componentFile =
  /\.(vue|svelte|astro|mdx|css|scss|less|sass|svg|png|jpe?g|gif|webp|graphql|gql|wasm|html|ya?ml)['"?]/;
/** All projects together; the rest is named as not checked. */
const budgetMs = 150_000;

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('type-check', context.limit);
  const configs = readTsConfigs(repository);
  const projects = chooseProjects(configs);
  report.metric('projects', projects.length);
  const scripts = repository.files.filter((file) => isTypeScript(file.path)).length;
  report.metric('typeScriptFiles', scripts);
  if (projects.length === 0) {
    report.notes(repository.notes());
    return report.build(
      scripts === 0
        ? 'Nothing to examine: no TypeScript.'
        : `Nothing examined: ${count(scripts, 'TypeScript file')} and no tsconfig.json that covers them.`,
    );
  }
  const checked = await withSnapshot(repository, isInput, maxScriptBytes, ({ folder }) =>
    checkProjects(projects, folder, repository, report, context),
  );
  report.metric('projectsChecked', checked);
  report.notes(repository.notes());
  return report.build(
    `${checked} of ${count(projects.length, 'project')} checked; ${report.total === 0 ? 'no error' : count(report.total, 'error')}.`,
  );
}

function isInput(file: TrackedFile): boolean {
  return (
    (isScript(file.path) || file.path.endsWith('.json')) && !/(^|\/)node_modules\//.test(file.path)
  );
}

/**
 * The configurations that are projects: those with the usual name and those that one of them refers
 * to. A base that others extend and that names no files of its own, and a mere list of references,
 * are none.
 */
export function chooseProjects(configs: ReadonlyMap<string, TsConfig>): TsConfig[] {
  const bases = new Set([...configs.values()].flatMap((config) => config.bases));
  const chosen = new Map<string, TsConfig>();
  const visit = (path: string) => {
    const config = configs.get(path);
    if (config === undefined || chosen.has(path)) return;
    const ownFiles = config.json['files'] ?? config.json['include'];
    const references = Array.isArray(config.json['references']) ? config.json['references'] : [];
    const lists = Array.isArray(config.json['files']) && config.json['files'].length === 0;
    const isBase = bases.has(path) && ownFiles === undefined;
    if (!(lists && config.json['include'] === undefined) && !(isBase && references.length === 0))
      chosen.set(path, config);
    for (const reference of references) {
      const target = asRecord(reference)?.['path'];
      const joined = typeof target === 'string' ? joinInside(config.folder, target) : undefined;
      if (joined === undefined) continue;
      visit(
        joined.endsWith('.json')
          ? joined
          : joined === ''
            ? 'tsconfig.json'
            : `${joined}/tsconfig.json`,
      );
    }
  };
  for (const [path, config] of configs) {
    if (isTest(path) && /fixture|testdata|__/.test(path)) continue;
    if (/(^|\/)tsconfig\.json$/.test(path)) visit(path);
    else if (/(^|\/)jsconfig\.json$/.test(path) && config.options['checkJs'] === true) visit(path);
  }
  return [...chosen.values()];
}

async function checkProjects(
  projects: readonly TsConfig[],
  copy: string,
  repository: Repository,
  report: ReportBuilder,
  context: ToolContext,
): Promise<number> {
  const compiler = findCompiler();
  const packages = readPackages(repository);
  const folders = new Set(['', ...packages.map((item) => item.folder)]);
  const installed = linkInstalled(repository.top, copy, folders);
  const tracked = new Set(repository.files.map((file) => file.path));
  const seen = new Set<string>();
  const untrusted = new Untrusted(repository);
  const endMs = Date.now() + budgetMs;
  let checked = 0;
  for (const project of projects) {
    const reason = whyNotChecked(project, installed, endMs);
    if (reason !== undefined) {
      report.note(`${project.file} was not checked: ${reason}.`);
      continue;
    }
    context.progress(`checking ${project.file}`);
    const missing = missingPackages(project, packages, installed);
    const defaults = missing.isOld ? oldDefaults(project) : {};
    const { diagnostics, removed } = await compile(
      compiler,
      copy,
      repository.top,
      project,
      defaults,
      Math.max(1_000, endMs - Date.now()),
    );
    checked += 1;
    if (removed.length > 0)
      report.note(
        `${project.file} sets ${removed.join(', ')}, which TypeScript 7 no longer has; checked without.`,
      );
    const own = diagnostics.filter((item) => item.file === undefined || tracked.has(item.file));
    for (const item of own.filter((one) => one.file === undefined).slice(0, 3))
      report.note(`${project.file}: TS${item.code} ${item.message}`);
    const judged =
      missing.names.length === 0 ? own : untrusted.withhold(own, report, project, missing.names);
    for (const item of judged) addFinding(item, missing.names.length > 0, seen, report);
  }
  return checked;
}

function whyNotChecked(
  project: TsConfig,
  installed: ReadonlyMap<string, ReadonlySet<string>>,
  endMs: number,
): string | undefined {
  if (Date.now() > endMs - 2_000) return 'the time for this report was used up';
  if (project.unknown !== undefined) {
    const bases = [project.json['extends'] ?? []].flat().filter((base) => typeof base === 'string');
    const there = bases.every((base) => {
      const name = /^(@[\w.-]+\/)?[\w-][\w.-]*/.exec(base)?.[0];
      if (base.startsWith('.') || name === undefined)
        return base.startsWith('.') && project.bases.length > 0;
      return [...foldersUp(project.folder)].some((folder) => installed.get(folder)?.has(name));
    });
    if (!there) return project.unknown;
  }
  const leaving = [...asStrings(project.json['files']), ...asStrings(project.json['include'])].find(
    (path) => joinInside(project.folder, path) === undefined,
  );
  return leaving === undefined ? undefined : `it names ${leaving}, outside of the repository`;
}

/** Declared packages that are not installed, and whether the project was written for TypeScript before 6. */
function missingPackages(
  project: TsConfig,
  packages: readonly Package[],
  installed: ReadonlyMap<string, ReadonlySet<string>>,
): { names: string[]; isOld: boolean } {
  const folders = [...foldersUp(project.folder)];
  const names = new Set<string>();
  let version: string | undefined;
  for (const item of packages) {
    if (!folders.includes(item.folder)) continue;
    for (const field of dependencyFields) {
      for (const [name, range] of declared(item, field)) {
        if (name === 'typescript') version ??= range;
        if (field === 'peerDependencies' || field === 'optionalDependencies') continue;
        if (!folders.some((folder) => installed.get(folder)?.has(name))) names.add(name);
      }
    }
  }
  const major = Number(/\d+/.exec(version ?? '')?.[0] ?? '5');
  return { names: [...names], isOld: major < 6 };
}

/** What held before TypeScript 6 where a project does not say. */
function oldDefaults(project: TsConfig): Record<string, unknown> {
  if (project.unknown !== undefined) return {};
  const old: Record<string, unknown> = {
    strict: false,
    types: ['*'],
    noUncheckedSideEffectImports: false,
  };
  return Object.fromEntries(Object.entries(old).filter(([name]) => !(name in project.options)));
}

/** Files whose errors follow from packages that are not here, as well as those that import them. */
class Untrusted {
  readonly #repository: Repository;
  #importers: ReadonlyMap<string, ReadonlySet<string>> | undefined;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  withhold(
    diagnostics: readonly Diagnostic[],
    report: ReportBuilder,
    project: TsConfig,
    missing: readonly string[],
  ): Diagnostic[] {
    const doubtful = new Set(
      diagnostics.filter((item) => absent.has(item.code)).flatMap((item) => item.file ?? []),
    );
    const queue = [...doubtful];
    for (const path of queue)
      for (const importer of this.#importersOf().get(path) ?? []) {
        if (doubtful.has(importer)) continue;
        doubtful.add(importer);
        queue.push(importer);
      }
    const kept = diagnostics.filter((item) =>
      absent.has(item.code)
        ? isOwnFault(item)
        : isSyntax(item.code) || !doubtful.has(item.file ?? ''),
    );
    const names = missing.slice(0, 4).join(', ');
    report.note(
      `${project.file}: ${count(missing.length, 'declared package')} not installed here (${names}${missing.length > 4 ? ', …' : ''}). ` +
        `Types of ${count(doubtful.size, 'file')} that need them were not judged; syntax and the other files were.`,
    );
    return kept;
  }

  #importersOf(): ReadonlyMap<string, ReadonlySet<string>> {
    if (this.#importers !== undefined) return this.#importers;
    const importers = new Map<string, Set<string>>();
    const graph = readModules(this.#repository, new ReportBuilder('type-check', 1));
    for (const [path, module] of graph.modules)
      for (const { target } of module.imports) {
        if (target.kind !== 'file') continue;
        const known = importers.get(target.path) ?? new Set();
        importers.set(target.path, known.add(path));
      }
    this.#importers = importers;
    return importers;
  }
}

/** A file of the repository that is not there is the code's fault, but for what a bundler turns into a module. */
function isOwnFault(item: Diagnostic): boolean {
  return /'\.{1,2}\//.test(item.message) && !componentFile.test(item.message);
}

/** TypeScript numbers what its parser says below 1200; 1192 is about a module's exports. */
function isSyntax(code: number): boolean {
  return code < 1200 && code !== 1192;
}

function addFinding(
  item: Diagnostic,
  partial: boolean,
  seen: Set<string>,
  report: ReportBuilder,
): void {
  if (item.file === undefined) return;
  // Projects overlap; one error is one finding.
  const key = `${item.file}:${item.line}:${item.column}:${item.code}`;
  if (seen.has(key)) return;
  seen.add(key);
  report.add({
    severity: severityOf(item, partial),
    rule: `TS${item.code}`,
    message: item.message,
    file: item.file,
    line: item.line,
    column: item.column,
  });
}

function severityOf(item: Diagnostic, partial: boolean): Severity {
  if (unusedCodes.has(item.code)) return 'low';
  if (isTest(item.file ?? '')) return 'medium';
  return partial && !isSyntax(item.code) ? 'medium' : 'high';
}
