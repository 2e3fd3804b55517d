/** Which script of a repository imports which, and what each exports. */
import type { ExportExportName, StaticExportEntry, StaticImport } from 'oxc-parser';
import { isVendored } from './paths.ts';
import { readPackages, readTsConfigs, type Package, type TsConfig } from './packages.ts';
import type { ReportBuilder } from './report.ts';
import type { Repository, TrackedFile } from './repository.ts';
import { Resolver, type Target } from './resolve.ts';
import {
  dottedName,
  isScript,
  literalText,
  maxScriptBytes,
  parseSource,
  walk,
  whyUnparsed,
  type Node,
  type Source,
} from './syntax.ts';

/** `import` and `reexport` bind when the module loads; `dynamic` later; `type` never. */
export type ImportKind = 'import' | 'reexport' | 'require' | 'dynamic' | 'type';

export interface ImportRef {
  readonly specifier: string;
  readonly line: number;
  readonly column: number;
  readonly kind: ImportKind;
  /** Names taken from the target; `*` for all of them. */
  readonly names: readonly string[];
  readonly target: Target;
}

export interface ExportRef {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly isType: boolean;
  /** Handed on from another module, under this name there (`*` for all). */
  readonly from: { readonly specifier: string; readonly name: string } | undefined;
}

export interface Module {
  readonly path: string;
  readonly imports: readonly ImportRef[];
  readonly exports: readonly ExportRef[];
  /** Names that a dynamic import computes begin with these paths from the top. */
  readonly prefixes: readonly string[];
  /** It imports by a name that can not be told here. */
  readonly isOpaque: boolean;
  /** Names that are used in the file besides being exported. */
  readonly usedInside: ReadonlySet<string>;
  /** Paths named in its text outside of import statements. */
  readonly mentions: readonly string[];
  readonly hasHashbang: boolean;
}

export interface ModuleGraph {
  readonly modules: ReadonlyMap<string, Module>;
  readonly packages: readonly Package[];
  readonly configs: ReadonlyMap<string, TsConfig>;
  readonly resolver: Resolver;
  /** Scripts that could not be parsed: what they import is not known. */
  readonly unparsed: readonly string[];
}

/** The end of a script's name; what stands before it is gathered backwards, because a pattern for the
 * whole path takes quadratic time on the long words of data and minified code. */
const scriptEnding = /\.(?:[mc]?[jt]sx?|vue|svelte)\b/g;
const maxMention = 200;

/** Parses every script that is not vendored. Files are held as names only, one tree at a time. */
export function readModules(repository: Repository, report: ReportBuilder): ModuleGraph {
  const packages = readPackages(repository);
  const configs = readTsConfigs(repository);
  const paths = repository.files.map((file) => file.path);
  const resolver = new Resolver(paths, packages, configs.values());
  const modules = new Map<string, Module>();
  const unparsed: string[] = [];
  for (const { path, text } of repository.texts(isModule, maxScriptBytes)) {
    const source = whyUnparsed(text) === undefined ? parseSource(path, text) : undefined;
    if (source === undefined || source.faults.length > 0) unparsed.push(path);
    else modules.set(path, readModule(source, resolver));
  }
  if (unparsed.length > 0) {
    const names = unparsed.slice(0, 3).join(', ');
    report.note(
      `${unparsed.length} scripts could not be parsed, so what they import is not known: ${names}${unparsed.length > 3 ? ', …' : ''}`,
    );
  }
  return { modules, packages, configs, resolver, unparsed };
}

function isModule(file: TrackedFile): boolean {
  return isScript(file.path) && !isVendored(file.path);
}

/** What one script imports, exports and names. */
export function readModule(source: Source, resolver: Resolver): Module {
  const imports: ImportRef[] = [];
  const found: Found = { prefixes: [], isOpaque: false };
  const add = (specifier: string, offset: number, kind: ImportKind, names: string[]) => {
    const { line, column } = source.at(offset);
    const target = resolver.resolve(source.path, specifier);
    imports.push({ specifier, line, column, kind, names, target });
  };
  for (const item of source.module.staticImports)
    add(item.moduleRequest.value, item.moduleRequest.start, importKind(item), importNames(item));
  const exports: ExportRef[] = [];
  for (const entry of source.module.staticExports.flatMap((item) => item.entries)) {
    const request = entry.moduleRequest;
    const name = importedName(entry);
    if (request !== null)
      add(request.value, request.start, entry.isType ? 'type' : 'reexport', [name]);
    const { line, column } = source.at(entry.exportName.start ?? entry.start);
    const from = request === null ? undefined : { specifier: request.value, name };
    const { isType } = entry;
    exports.push({ name: exportedName(entry.exportName), line, column, isType, from });
  }
  // Only these need the tree; without them a file takes a third of the time.
  if (/\brequire\b|\bimport\s*[.(]|\bimport\s+[\w$]+\s*=|\.(un)?mock\s*\(/.test(source.text))
    walk(source.program, {
      enter: (node, ancestors) => readNode(node, ancestors, source, resolver, add, found),
    });
  return {
    path: source.path,
    imports,
    exports,
    ...found,
    usedInside: namesUsed(source, exports),
    mentions: mentionsIn(blanked(source)),
    hasHashbang: source.text.startsWith('#!'),
  };
}

/** Paths and names of scripts in a text, each once. */
export function mentionsIn(text: string): string[] {
  const found = new Set<string>();
  for (const { 0: ending, index } of text.matchAll(scriptEnding)) {
    let start = index;
    while (start > 0 && index - start < maxMention && /[\w@$.+/-]/.test(text.charAt(start - 1)))
      start -= 1;
    if (start < index) found.add(text.slice(start, index) + ending);
  }
  return [...found];
}

function importKind(item: StaticImport): ImportKind {
  return item.entries.length > 0 && item.entries.every((entry) => entry.isType) ? 'type' : 'import';
}

function importNames(item: StaticImport): string[] {
  return item.entries.map((entry) => {
    if (entry.importName.kind === 'Default') return 'default';
    return entry.importName.kind === 'NamespaceObject' ? '*' : (entry.importName.name ?? '*');
  });
}

function importedName(entry: StaticExportEntry): string {
  return entry.importName.kind === 'Name' ? (entry.importName.name ?? '*') : '*';
}

function exportedName(name: ExportExportName): string {
  if (name.kind === 'Default') return 'default';
  return name.kind === 'Name' ? (name.name ?? '*') : '*';
}

type Add = (specifier: string, offset: number, kind: ImportKind, names: string[]) => void;

interface Found {
  prefixes: string[];
  isOpaque: boolean;
}

function readNode(
  node: Node,
  ancestors: readonly Node[],
  source: Source,
  resolver: Resolver,
  add: Add,
  found: Found,
): void {
  if (node.type === 'ImportExpression') {
    readRequest(node.source, 'dynamic', source, resolver, add, found);
  } else if (node.type === 'TSImportType') {
    add(node.source.value, node.source.start, 'type', ['*']);
  } else if (node.type === 'TSImportEqualsDeclaration') {
    if (node.moduleReference.type === 'TSExternalModuleReference') {
      const { expression } = node.moduleReference;
      add(expression.value, expression.start, 'require', ['*']);
    }
  } else if (node.type === 'NewExpression' && dottedName(node.callee) === 'URL') {
    const text = literalText(node.arguments[0]);
    if (text !== undefined && /^\.{1,2}\//.test(text) && node.arguments.length === 2) {
      // The address of a folder or of a file that is made later is no import.
      if (resolver.resolve(source.path, text).kind === 'file')
        add(text, node.start, 'dynamic', ['*']);
    }
  } else if (node.type === 'CallExpression') {
    const name = dottedName(node.callee) ?? metaCall(node.callee);
    const first = node.arguments[0];
    if (name === undefined || first === undefined) return;
    if (name === 'require') {
      // Inside a function it waits for the call, which is how cycles are broken on purpose.
      const kind = ancestors.some((item) => isDeferred(item)) ? 'dynamic' : 'require';
      readRequest(first, kind, source, resolver, add, found);
    } else if (
      /^(require\.resolve|import\.meta\.resolve|(vi|jest)\.\w*([mM]ock|Actual)\w*)$/.test(name)
    ) {
      // A mock may stand for a module that does not exist, and nothing breaks when it does not.
      const text = literalText(first);
      if (text !== undefined && resolver.resolve(source.path, text).kind !== 'missing')
        add(text, first.start, 'dynamic', ['*']);
    } else if (/^(import\.meta\.(glob|globEager)|require\.context)$/.test(name))
      for (const pattern of first.type === 'ArrayExpression' ? first.elements : [first])
        addPrefix(literalText(pattern)?.replace(/[*{[(!].*$/, ''), source, resolver, found);
  }
}

/** In a `try`, what is not there is expected. */
function isDeferred(node: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression|TryStatement)$/.test(
    node.type,
  );
}

/** `import.meta.glob` and the like. */
function metaCall(node: Node): string | undefined {
  return node.type === 'MemberExpression' &&
    !node.computed &&
    node.object.type === 'MetaProperty' &&
    node.property.type === 'Identifier'
    ? `import.meta.${node.property.name}`
    : undefined;
}

function readRequest(
  request: Node,
  kind: ImportKind,
  source: Source,
  resolver: Resolver,
  add: Add,
  found: Found,
): void {
  const text = literalText(request);
  if (text !== undefined) {
    add(text, request.start, kind, ['*']);
    return;
  }
  const prefix =
    request.type === 'TemplateLiteral'
      ? request.quasis[0]?.value.cooked
      : request.type === 'BinaryExpression'
        ? literalText(request.left)
        : undefined;
  if (prefix === undefined || prefix === null || !prefix.includes('/')) found.isOpaque = true;
  else addPrefix(prefix, source, resolver, found);
}

function addPrefix(
  prefix: string | undefined,
  source: Source,
  resolver: Resolver,
  found: Found,
): void {
  if (prefix === undefined || prefix === '') return;
  // A name that is not there resolves to where it would be, which is the prefix.
  const target = resolver.resolve(source.path, `${prefix}\u0001`);
  if (target.kind === 'missing') found.prefixes.push(target.path.replace('\u0001', ''));
}

/** The text without its import and re-export statements, whose paths are imports already. */
function blanked(source: Source): string {
  const spans = [
    ...source.module.staticImports,
    ...source.module.staticExports.filter((item) => item.entries.some((e) => e.moduleRequest)),
  ].toSorted((a, b) => a.start - b.start);
  let text = '';
  let at = 0;
  for (const span of spans) {
    text += source.text.slice(at, span.start);
    at = span.end;
  }
  return text + source.text.slice(at);
}

/** Exported names whose word stands in the file more often than exporting it takes. */
function namesUsed(source: Source, exports: readonly ExportRef[]): Set<string> {
  const wanted = new Map(exports.map((item) => [item.name, 0]));
  if (wanted.size === 0) return new Set();
  for (const [word] of source.text.matchAll(/[\w$]+/g)) {
    const seen = wanted.get(word);
    if (seen !== undefined) wanted.set(word, seen + 1);
  }
  return new Set([...wanted].filter(([, seen]) => seen > 1).map(([name]) => name));
}
