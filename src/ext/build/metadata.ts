/** What a bundle says of itself, read from the files that were built. */
import { createHash } from 'node:crypto';
import { AppError } from '../../base/base.ts';
import { parseControl } from '../check/control.ts';
import { compareDotted, readElf } from '../elf/elf.ts';
import type { ElfFacts, ExtensionEntry, Metadata, ServerFacts } from '../types.ts';

export interface MetadataOptions {
  readonly facts: ServerFacts;
  /** `lib/`, `extension/` and `smoke/`, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** By default the name of the only extension. */
  readonly name?: string;
  /** Seconds since 1970. */
  readonly date: number;
  readonly compiler: string;
}

/**
 * Throws `ext_build_failed` for a library of another architecture or without an extension, and
 * `invalid_input` where there are several extensions and no name.
 */
export function describeBundle(options: MetadataOptions): Metadata {
  const { facts, files, date, compiler } = options;
  const libraries = readLibraries(files, facts);
  const extensions = readExtensions(files, options.name);
  const [first] = extensions;
  if (first === undefined) {
    throw new AppError('ext_build_failed', 'make install laid out no control file', {
      remedy: 'EXTENSION in the Makefile names the extension, and NAME.control describes it.',
    });
  }
  if (extensions.length > 1 && options.name === undefined) {
    const names = extensions.map(({ name }) => name).join(', ');
    throw new AppError('invalid_input', `name: it has several extensions (${names})`, {
      remedy: 'Give the bundle a name.',
    });
  }
  const glibc = requiredGlibc(libraries);
  const wrapper = sharedLibrary(libraries);
  const paths = [...files.keys()].toSorted();
  return {
    format: 1,
    name: options.name ?? first.name,
    version: first.version,
    builtAt: new Date(date * 1000).toISOString(),
    compiler,
    target: {
      major: facts.major,
      version: facts.version,
      architecture: facts.architecture,
      ...(glibc === undefined ? {} : { glibc }),
    },
    extensions,
    files: paths.map((path) => entryOf(path, files.get(path) ?? Buffer.alloc(0))),
    smoke: paths.filter((path) => path.startsWith('smoke/')),
    ...(wrapper === undefined ? {} : { wrapper }),
  };
}

/** The libraries of a bundle by path, each for the architecture of the server. */
function readLibraries(
  files: ReadonlyMap<string, Buffer>,
  { architecture }: ServerFacts,
): Map<string, ElfFacts> {
  const libraries = new Map<string, ElfFacts>();
  for (const [path, data] of files) {
    if (!path.startsWith('lib/')) continue;
    const elf = readElf(data, path);
    if (elf.architecture !== architecture) {
      throw new AppError(
        'ext_build_failed',
        `${path} was built for ${elf.architecture}, and the server is ${architecture}`,
        {
          remedy: 'The Makefile must use $(CC) and $(CXX), which name the compiler for the server.',
          details: { path },
        },
      );
    }
    libraries.set(path, elf);
  }
  return libraries;
}

/** By name; the one that the bundle is called after comes first, since its version is the bundle's. */
function readExtensions(files: ReadonlyMap<string, Buffer>, name?: string): ExtensionEntry[] {
  const extensions: ExtensionEntry[] = [];
  for (const [path, data] of files) {
    const found = /^extension\/([^/]+)\.control$/.exec(path)?.[1];
    // `name--version.control` is one version's; it tells no default.
    if (found === undefined || found.includes('--')) continue;
    const { defaultVersion } = parseControl(data.toString('utf8'), path);
    if (defaultVersion === undefined) {
      throw new AppError('ext_build_failed', `${path} has no default_version`, {
        remedy: 'Name there the version that CREATE EXTENSION installs.',
      });
    }
    extensions.push({ name: found, version: defaultVersion });
  }
  const rank = (entry: ExtensionEntry): string => `${entry.name === name ? 0 : 1} ${entry.name}`;
  return extensions.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

/** The highest `GLIBC_x.y` that any of them demands of any library. */
export function requiredGlibc(libraries: ReadonlyMap<string, ElfFacts>): string | undefined {
  const versions = [...libraries.values()]
    .flatMap((elf) => [...elf.versions.values()].flat())
    .flatMap((version) => /^GLIBC_(\d+(?:\.\d+)+)$/.exec(version)?.[1] ?? []);
  return versions.toSorted(compareDotted).at(-1);
}

/**
 * A library that others of the bundle need, with a hash in its SONAME: without one, two releases that are
 * mapped at once would share whichever was loaded first.
 */
export function sharedLibrary(libraries: ReadonlyMap<string, ElfFacts>): string | undefined {
  const needed = new Set([...libraries.values()].flatMap((elf) => elf.needed));
  for (const [path, { soname }] of libraries) {
    const name = path.slice('lib/'.length);
    if (soname === name && needed.has(name) && /-[0-9a-f]{8,64}\.so$/.test(name)) return path;
  }
  return undefined;
}

function entryOf(path: string, data: Buffer): Metadata['files'][number] {
  const sha256 = createHash('sha256').update(data).digest('hex');
  return { path, sha256, sizeBytes: data.length };
}
