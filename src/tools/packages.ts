/** The package.json files of a repository, and the TypeScript settings that change what an import means. */
import { parse as parseJsonc, type ParseError } from 'jsonc-parser';
import { posix } from 'node:path';
import { isVendored } from './paths.ts';
import { decode, type Repository } from './repository.ts';

export const dependencyFields = [
  'dependencies',
  'devDependencies',
  'peerDependencies',
  'optionalDependencies',
] as const;
export type DependencyField = (typeof dependencyFields)[number];

export interface Package {
  /** The path of its package.json. */
  readonly file: string;
  /** Its folder, empty for the top. */
  readonly folder: string;
  readonly name: string | undefined;
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** Every package.json that is an object, the outermost first. Broken ones are for syntax-check to report. */
export function readPackages(repository: Repository): Package[] {
  const packages: Package[] = [];
  for (const { path, text } of repository.texts((file) => isPackageJson(file.path))) {
    const json = asRecord(parseObject(text));
    if (json === undefined) continue;
    const folder = folderOf(path);
    const name = typeof json['name'] === 'string' ? json['name'] : undefined;
    packages.push({ file: path, folder, name, json, text });
  }
  return packages.toSorted((a, b) => depth(a.folder) - depth(b.folder));
}

function isPackageJson(path: string): boolean {
  return posix.basename(path) === 'package.json' && !isVendored(path);
}

function depth(folder: string): number {
  return folder === '' ? 0 : folder.split('/').length;
}

/** JSON with comments and trailing commas; undefined where it is broken. */
export function parseObject(text: string): unknown {
  const errors: ParseError[] = [];
  const value: unknown = parseJsonc(text, errors, { allowTrailingComma: true });
  return errors.length > 0 ? undefined : value;
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined;
}

export function asStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The folder of a path, empty for the top. */
export function folderOf(path: string): string {
  const folder = posix.dirname(path);
  return folder === '.' ? '' : folder;
}

/** The folders from the one given up to the top. */
export function* foldersUp(folder: string): Generator<string> {
  for (let at = folder; at !== ''; at = folderOf(at)) yield at;
  yield '';
}

/** `path` seen from `folder`; undefined where it leaves the repository. */
export function joinInside(folder: string, path: string): string | undefined {
  if (posix.isAbsolute(path)) return undefined;
  const joined = posix.normalize(posix.join(folder === '' ? '.' : folder, path));
  if (joined === '..' || joined.startsWith('../')) return undefined;
  return joined === '.' ? '' : joined.replace(/\/$/, '');
}

/** What a package declares that it needs, by field. */
export function declared(item: Package, field: DependencyField): ReadonlyMap<string, string> {
  const entries = Object.entries(asRecord(item.json[field]) ?? {});
  return new Map(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** The line on which a package.json names `key`, after the field it stands in. */
export function lineOfKey(text: string, field: string, key: string): number {
  const start = Math.max(0, text.indexOf(`"${field}"`));
  const at = text.indexOf(`"${key}"`, start);
  return text.slice(0, Math.max(0, at)).split('\n').length;
}

export interface TsConfig {
  readonly file: string;
  readonly folder: string;
  /** As it stands in the file, without what it extends. */
  readonly json: Readonly<Record<string, unknown>>;
  /** With what it extends; `paths` and `baseUrl` as paths from the top. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly baseUrl: string | undefined;
  readonly paths: ReadonlyMap<string, readonly string[]>;
  /** Files of this repository that it extends. */
  readonly bases: readonly string[];
  /** Why its settings are not known whole: it extends a package, a missing file, something outside. */
  readonly unknown: string | undefined;
}

const maxExtends = 16;

/** The tsconfig and jsconfig files, each with what it inherits from files of this repository. */
export function readTsConfigs(repository: Repository): Map<string, TsConfig> {
  const raw = new Map<string, Readonly<Record<string, unknown>>>();
  for (const { path, text } of repository.texts((file) => isConfig(file.path))) {
    const json = asRecord(parseObject(text));
    if (json !== undefined) raw.set(path, json);
  }
  // A base may have any name; it is read when it is asked for.
  const byPath = new Map(repository.files.map((file) => [file.path, file]));
  const read = (path: string) => {
    const file = byPath.get(path);
    if (raw.has(path) || file === undefined) return raw.get(path);
    const bytes = repository.read(file);
    const json = asRecord(parseObject((bytes && decode(bytes)) ?? ''));
    if (json !== undefined) raw.set(path, json);
    return json;
  };
  return new Map([...raw].map(([path, json]) => [path, inherit(path, json, read)]));
}

function isConfig(path: string): boolean {
  return /(^|\/)(ts|js)config[^/]*\.json$/.test(path) && !isVendored(path);
}

type ReadConfig = (path: string) => Readonly<Record<string, unknown>> | undefined;

function inherit(
  file: string,
  json: Readonly<Record<string, unknown>>,
  read: ReadConfig,
): TsConfig {
  const state = { options: new Map<string, unknown>(), bases: [] as string[] };
  const scope: PathScope = { baseUrl: undefined, paths: new Map() };
  const unknown = collect(file, json, read, state, scope, 0);
  return {
    file,
    folder: folderOf(file),
    json,
    options: Object.fromEntries(state.options),
    baseUrl: scope.baseUrl,
    paths: scope.paths,
    bases: state.bases,
    unknown,
  };
}

interface PathScope {
  baseUrl: string | undefined;
  paths: Map<string, readonly string[]>;
}

/** Bases first, so that the nearer setting wins. */
function collect(
  file: string,
  json: Readonly<Record<string, unknown>>,
  read: ReadConfig,
  state: { options: Map<string, unknown>; bases: string[] },
  scope: PathScope,
  level: number,
): string | undefined {
  let unknown: string | undefined;
  const bases =
    typeof json['extends'] === 'string' ? [json['extends']] : asStrings(json['extends']);
  for (const base of bases) {
    const path = findBase(folderOf(file), base, read);
    const parent = path === undefined || level >= maxExtends ? undefined : read(path);
    if (path === undefined || parent === undefined) {
      unknown ??= `${file} extends ${base}, which is not a file of this repository`;
      continue;
    }
    state.bases.push(path);
    unknown ??= collect(path, parent, read, state, scope, level + 1);
  }
  const options = asRecord(json['compilerOptions']) ?? {};
  for (const [name, value] of Object.entries(options)) state.options.set(name, value);
  const baseUrl = options['baseUrl'];
  if (typeof baseUrl === 'string') scope.baseUrl = joinInside(folderOf(file), baseUrl);
  const paths = asRecord(options['paths']);
  if (paths !== undefined) {
    const from = scope.baseUrl ?? folderOf(file);
    scope.paths = new Map(
      Object.entries(paths).map(([pattern, targets]) => [
        pattern,
        asStrings(targets).flatMap((target) => joinInside(from, target) ?? []),
      ]),
    );
  }
  return unknown;
}

function findBase(folder: string, base: string, read: ReadConfig): string | undefined {
  if (!base.startsWith('.')) return undefined;
  for (const name of [base, `${base}.json`, `${base}/tsconfig.json`]) {
    const path = joinInside(folder, name);
    if (path !== undefined && read(path) !== undefined) return path;
  }
  return undefined;
}
