/**
 * What an import of JavaScript or TypeScript leads to, decided by the list of tracked files alone.
 * A resolver that asks the file system (oxc-resolver, enhanced-resolve) follows links out of the
 * repository, reads whatever a hostile `extends` names, and finds no workspace where nothing is
 * installed, which is how a fresh clone lies there.
 */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import {
  asRecord,
  folderOf,
  foldersUp,
  joinInside,
  type Package,
  type TsConfig,
} from './packages.ts';

export type Target =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'package'; readonly name: string }
  | { readonly kind: 'builtin'; readonly name: string }
  /** A relative path where nothing tracked is. */
  | { readonly kind: 'missing'; readonly path: string }
  /** A relative path that leaves the repository. */
  | { readonly kind: 'outside' }
  /** What only a bundler or another runtime understands: `virtual:x`, `https:`, an unknown alias. */
  | { readonly kind: 'other' };

const extensions =
  '.ts .tsx .mts .cts .d.ts .js .jsx .mjs .cjs .json .vue .svelte .astro .node .css'.split(' ');
/** TypeScript writes the name that the compiled file will have. */
const written: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\.jsx?$/, ['.ts', '.tsx', '.d.ts', '.jsx']],
  [/\.mjs$/, ['.mts', '.d.mts']],
  [/\.cjs$/, ['.cts', '.d.cts']],
];
const packageName = /^(@[a-z0-9~-][\w.~-]*\/)?[a-z0-9~_-][\w.~-]*/i;
const compiledFolder = /^(dist|lib|build|out|es|esm|cjs|types)(\/(esm|cjs|es|src|types))?\//;
/** Runtimes other than Node that provide modules by a bare name. */
const runtimeModules = new Set(['bun', 'vscode', 'electron', 'k6', 'cloudflare']);

export class Resolver {
  readonly #files: ReadonlySet<string>;
  readonly #folders: ReadonlySet<string>;
  readonly #byName = new Map<string, Package>();
  readonly #byFolder = new Map<string, Package>();
  readonly #configs = new Map<string, TsConfig[]>();

  constructor(files: Iterable<string>, packages: readonly Package[], configs: Iterable<TsConfig>) {
    this.#files = new Set(files);
    const folders = new Set<string>();
    for (const file of this.#files) {
      for (const folder of foldersUp(folderOf(file))) {
        if (folders.has(folder)) break;
        folders.add(folder);
      }
    }
    this.#folders = folders;
    for (const item of packages) {
      this.#byFolder.set(item.folder, item);
      if (item.name !== undefined && !this.#byName.has(item.name))
        this.#byName.set(item.name, item);
    }
    for (const config of configs) {
      if (config.paths.size === 0 && config.baseUrl === undefined) continue;
      this.#configs.set(config.folder, [...(this.#configs.get(config.folder) ?? []), config]);
    }
  }

  /** The package that a file belongs to: the nearest package.json above it that has a name or dependencies. */
  packageOf(path: string): Package | undefined {
    for (const folder of foldersUp(folderOf(path))) {
      const item = this.#byFolder.get(folder);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  isOwnPackage(name: string): boolean {
    return this.#byName.has(name);
  }

  resolve(from: string, specifier: string): Target {
    // Loaders put queries behind and themselves in front: `./x.svg?url`, `raw-loader!./x`.
    const plain = specifier
      .replace(/^.*!/, '')
      .replace(/[?#](?=.).*$/, (rest) => (specifier.startsWith('#') ? rest : ''));
    if (plain === '') return { kind: 'other' };
    if (/^\.{1,2}(\/|$)/.test(plain)) return this.#relative(folderOf(from), plain);
    if (plain.startsWith('#')) return this.#internal(from, plain);
    if (isBuiltin(plain)) return { kind: 'builtin', name: plain.replace(/^node:/, '') };
    const aliased = this.#alias(from, plain);
    if (aliased !== undefined) return aliased;
    const name = packageName.exec(plain)?.[0];
    if (name === undefined || /^[a-z][a-z0-9+.-]*:/i.test(plain)) return { kind: 'other' };
    if (runtimeModules.has(name)) return { kind: 'builtin', name };
    const own = this.#byName.get(name);
    if (own !== undefined) {
      const path = this.#inPackage(own, plain.slice(name.length + 1));
      if (path !== undefined) return { kind: 'file', path };
    }
    return { kind: 'package', name };
  }

  /** The tracked file that a path names, by the rules of Node, bundlers and TypeScript together. */
  find(path: string): string | undefined {
    if (this.#files.has(path)) return path;
    for (const [pattern, others] of written) {
      if (!pattern.test(path)) continue;
      const stem = path.replace(pattern, '');
      const found = others.map((other) => stem + other).find((name) => this.#files.has(name));
      if (found !== undefined) return found;
    }
    const found = extensions
      .map((extension) => path + extension)
      .find((name) => this.#files.has(name));
    if (found !== undefined || !this.#folders.has(path)) return found;
    const main = this.#byFolder.get(path)?.json['main'];
    const named = typeof main === 'string' ? joinInside(path, main) : undefined;
    if (named !== undefined && named !== path) {
      const entry = this.find(named);
      if (entry !== undefined) return entry;
    }
    const index = path === '' ? 'index' : `${path}/index`;
    return extensions.map((extension) => index + extension).find((name) => this.#files.has(name));
  }

  /** The source of a path that a package.json names, where what it names is built from it: `dist/x.js` from `src/x.ts`. */
  findSource(folder: string, path: string): string | undefined {
    const inside = path.replace(/^\.\//, '');
    const stem = inside.replace(compiledFolder, '').replace(/\.(d\.)?[mc]?[jt]sx?$/, '');
    for (const candidate of [inside, `src/${stem}`, stem, `source/${stem}`, `lib/${stem}`]) {
      const joined = joinInside(folder, candidate);
      const found = joined === undefined ? undefined : this.find(joined);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #relative(folder: string, specifier: string): Target {
    const path = joinInside(folder, specifier);
    if (path === undefined) return { kind: 'outside' };
    const found = this.find(path);
    return found === undefined ? { kind: 'missing', path } : { kind: 'file', path: found };
  }

  /** Node's subpath imports: `#x` by the `imports` of the nearest package.json. */
  #internal(from: string, specifier: string): Target {
    const item = this.packageOf(from);
    const imports = asRecord(item?.json['imports']);
    if (item === undefined || imports === undefined) return { kind: 'other' };
    for (const [pattern, value] of Object.entries(imports)) {
      const rest = matchStar(pattern, specifier);
      if (rest === undefined) continue;
      for (const target of stringsIn(value)) {
        if (!target.startsWith('.')) continue;
        const path = this.findSource(item.folder, target.replaceAll('*', rest));
        if (path !== undefined) return { kind: 'file', path };
      }
    }
    return { kind: 'other' };
  }

  #alias(from: string, specifier: string): Target | undefined {
    for (const folder of foldersUp(folderOf(from))) {
      const configs = this.#configs.get(folder) ?? [];
      for (const config of configs) {
        const path = this.#byPaths(config, specifier);
        if (path !== undefined) return { kind: 'file', path };
      }
      const known = configs.some((config) =>
        [...config.paths.keys()].some(
          (key) => key !== '*' && matchStar(key, specifier) !== undefined,
        ),
      );
      // An alias that leads to what is not tracked: generated code, or a package by another name.
      if (known) return { kind: 'other' };
    }
    const short = /^(@|~|~~|\$lib)\/(.*)$/.exec(specifier);
    if (short === null) return undefined;
    const top = this.packageOf(from)?.folder ?? '';
    const places = short[1] === '$lib' ? ['src/lib'] : ['src', 'app', '.'];
    for (const place of places) {
      const joined = joinInside(top, `${place}/${short[2]}`);
      const path = joined === undefined ? undefined : this.find(joined);
      if (path !== undefined) return { kind: 'file', path };
    }
    return { kind: 'other' };
  }

  #byPaths(config: TsConfig, specifier: string): string | undefined {
    for (const [pattern, targets] of config.paths) {
      const rest = matchStar(pattern, specifier);
      if (rest === undefined) continue;
      for (const target of targets) {
        const path = this.find(posix.normalize(target.replace('*', rest)));
        if (path !== undefined) return path;
      }
    }
    return config.baseUrl === undefined
      ? undefined
      : this.find(posix.join(config.baseUrl, specifier));
  }

  #inPackage(item: Package, subpath: string): string | undefined {
    const wanted = subpath === '' ? '.' : `./${subpath}`;
    for (const target of this.#exportsOf(item, wanted)) {
      const path = this.findSource(item.folder, target);
      if (path !== undefined) return path;
    }
    return subpath === ''
      ? this.findSource(item.folder, 'index')
      : this.findSource(item.folder, subpath);
  }

  #exportsOf(item: Package, wanted: string): string[] {
    const exported = item.json['exports'];
    const table = asRecord(exported);
    if (table === undefined || !Object.keys(table).some((key) => key.startsWith('.'))) {
      if (wanted !== '.') return [];
      const mains = ['source', 'types', 'typings', 'module', 'main'];
      return [...stringsIn(exported), ...mains.flatMap((name) => stringsIn(item.json[name]))];
    }
    return Object.entries(table).flatMap(([pattern, value]) => {
      const rest = matchStar(pattern, wanted);
      return rest === undefined
        ? []
        : stringsIn(value).map((target) => target.replaceAll('*', rest));
    });
  }
}

/** What `*` stands for; the empty string for an equal text without a star. */
function matchStar(pattern: string, text: string): string | undefined {
  const star = pattern.indexOf('*');
  if (star < 0) return pattern === text ? '' : undefined;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail)
    ? text.slice(head.length, text.length - tail.length)
    : undefined;
}

/** Every string of a nested value: the conditions of `exports` are not known here, so all count. */
export function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(stringsIn);
}
