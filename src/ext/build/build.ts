/** Builds an extension against a package: a bundle whose bytes depend on nothing but what went in. */
import { mkdir, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError, type Log } from '../../base/base.ts';
import { readElf } from '../elf/elf.ts';
import { digestOf, packBundle } from '../package/bundle.ts';
import type { OpenedPackage } from '../package/open-package.ts';
import type { Signer } from '../package/signing.ts';
import type { Metadata } from '../types.ts';
import {
  defaultCompilers,
  hostArchitecture,
  prepareToolchain,
  type Compilers,
  type Toolchain,
} from './compilers.ts';
import { readInstalled } from './installed.ts';
import { describeBundle } from './metadata.ts';
import { provenanceOf, provenanceType } from './provenance.ts';
import { assertSettings, cmakeRecipe, pgxsRecipe } from './recipes.ts';
import { runSteps, sourceName } from './steps.ts';
import { copySources, readSources, type Sources } from './sources.ts';
import { BuildLog, openWorkFolder } from './work-folder.ts';

export interface BuildOptions {
  /** A folder with a PGXS Makefile or a CMakeLists.txt; never written to. */
  readonly source: string;
  readonly package: OpenedPackage;
  /** GCC by default: this machine's, or the cross compiler for the server's architecture. */
  readonly compilers?: Partial<Compilers>;
  /** Make variables, or CMake variables. */
  readonly settings: Readonly<Record<string, string>>;
  /** A .sql file or a folder of them; `smoke` of the sources by default, where there is one. */
  readonly smoke?: string;
  /** Of the bundle; its extension's by default. */
  readonly name?: string;
  /** Without one the bundle has no provenance: a record that nobody signs proves nothing. */
  readonly signer?: Signer;
  readonly cacheFolder: string;
  readonly jobs: number;
  /**
   * Seconds since 1970, as SOURCE_DATE_EPOCH; the commit's time by default, or the newest file's. Give it
   * where the sources come without their repository and with other times.
   */
  readonly date?: number;
  /** Half an hour by default. */
  readonly timeoutMs?: number;
  readonly onLine?: (line: string) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

export interface Built {
  readonly bundle: Buffer;
  readonly metadata: Metadata;
  /** Of the metadata, lower-case hexadecimal. */
  readonly digest: string;
  readonly log: string;
  /** `vector-0.8.0-pg17-x86_64.tar.gz` */
  readonly fileName: string;
  /** What people should know: what was left out, what the result depends on. */
  readonly notes: readonly string[];
}

const defaultTimeoutMs = 30 * 60_000;

/**
 * Builds and bundles. Throws `ext_build_failed` with the first complaint and the place of the full log,
 * `unavailable` naming the Debian package where a tool is missing, `invalid_input` for a source, setting
 * or name that can not be, `timeout`, and what the signal was aborted with.
 */
export async function buildExtension(options: BuildOptions): Promise<Built> {
  assertSettings(options.settings);
  const source = await realpath(options.source).catch((cause: unknown) => {
    throw new AppError('not_found', `sources: ${options.source} is not there`, { cause });
  });
  const read = await readSources(source);
  const sources = { ...read, date: options.date ?? read.date };
  const smoke = await readSmoke(options.smoke, source);
  const { facts } = options.package;
  const work = await openWorkFolder(options.cacheFolder);
  const log = new BuildLog();
  try {
    const built = await compile(options, sources, work.path, log);
    const files = new Map([...built.files, ...smoke]);
    const { cc, dropped } = built.toolchain;
    options.log.debug({ compiler: cc, dropped }, 'extension compiled');
    const metadata = describeBundle({
      facts,
      files,
      ...(options.name === undefined ? {} : { name: options.name }),
      date: sources.date,
      compiler: built.toolchain.version,
    });
    return {
      bundle: await pack(options, sources, metadata, files, dropped),
      metadata,
      digest: digestOf(metadata),
      log: log.text,
      fileName: `${metadata.name}-${metadata.version}-pg${facts.major}-${facts.architecture}.tar.gz`,
      notes: [...built.notes, ...fileNotes(files, [work.path, options.package.folder])],
    };
  } catch (thrown) {
    const name = `${basename(source)}-pg${facts.major}-${facts.architecture}`;
    throw await explained(thrown, log, () => log.keep(options.cacheFolder, name));
  } finally {
    await work.remove();
  }
}

interface Compiled {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly toolchain: Toolchain;
  readonly notes: readonly string[];
}

async function compile(
  options: BuildOptions,
  sources: Sources,
  workFolder: string,
  log: BuildLog,
): Promise<Compiled> {
  const { facts } = options.package;
  const { architecture, config, paths } = facts;
  assertPlain('the cache', workFolder);
  assertPlain('the package', options.package.pgConfig);
  const packageFolder = await realpath(options.package.folder);
  const toolchain = await prepareToolchain({
    folder: join(workFolder, 'tools'),
    architecture,
    compilers: { ...defaultCompilers(architecture), ...options.compilers },
    maps: [
      [join(workFolder, 'source'), sourceName],
      [join(workFolder, 'build'), '/build'],
      [packageFolder, '/package'],
    ],
    flags: config['CFLAGS'] ?? '',
  });
  await copySources(sources, join(workFolder, 'source'));
  const installFolder = join(workFolder, 'install');
  await mkdir(installFolder);
  const recipe = (sources.kind === 'pgxs' ? pgxsRecipe : cmakeRecipe)({
    workFolder,
    installFolder,
    pgConfig: options.package.pgConfig,
    architecture,
    isCross: architecture !== hostArchitecture(),
    toolchain,
    settings: options.settings,
    jobs: options.jobs,
  });
  await runSteps(recipe, {
    sources,
    toolchain,
    workFolder,
    installFolder,
    log,
    architecture,
    pgConfig: options.package.pgConfig,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
    onLine: options.onLine,
    signal: options.signal,
  });
  const { files, leftOut } = await readInstalled(installFolder, paths);
  const notes = [
    ...(toolchain.dropped.length === 0
      ? []
      : [`the compiler does not know ${toolchain.dropped.join(' ')}, which only warn: left out`]),
    ...(leftOut.length === 0 ? [] : [`left out, not for a server: ${leftOut.join(', ')}`]),
  ];
  return { files, toolchain, notes };
}

/** make splits words at spaces, however they are quoted: what it would say of them helps nobody. */
function assertPlain(what: string, path: string): void {
  if (/^[\w./+~@%,=-]+$/.test(path)) return;
  throw new AppError('invalid_input', `${what} lies in ${path}, a path that make can not read`, {
    remedy: 'Put it where the path has letters, digits and no spaces.',
    details: { path },
  });
}

/** A failed build says where its log is; what is not about the build has none. */
async function explained(
  thrown: unknown,
  log: BuildLog,
  keep: () => Promise<string>,
): Promise<unknown> {
  if (!(thrown instanceof AppError) || log.text === '') return thrown;
  if (thrown.code !== 'ext_build_failed' && thrown.code !== 'timeout') return thrown;
  const path = await keep();
  const { message, remedy, details } = thrown;
  return new AppError(thrown.code, message, {
    details: { ...details, log: path },
    remedy: `${remedy === undefined ? '' : `${remedy} `}The full log: ${path}`,
    cause: thrown,
  });
}

async function pack(
  options: BuildOptions,
  sources: Sources,
  metadata: Metadata,
  files: ReadonlyMap<string, Buffer>,
  dropped: readonly string[],
): Promise<Buffer> {
  const { signer, settings } = options;
  const content = provenanceOf(metadata, {
    kind: sources.kind,
    sourceDigest: sources.digest,
    packageDigest: options.package.digest,
    packageOrigin: options.package.facts.origin,
    settings,
    dropped,
  });
  return await packBundle({
    metadata,
    files,
    ...(signer === undefined ? {} : { signer }),
    predicate: { type: provenanceType, content },
  });
}

/** SQL by its path in the bundle. */
async function readSmoke(
  given: string | undefined,
  source: string,
): Promise<ReadonlyMap<string, Buffer>> {
  const path = given ?? join(source, 'smoke');
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined && given === undefined) return new Map();
  if (facts === undefined) throw new AppError('not_found', `smoke: ${path} is not there`);
  const names = facts.isDirectory() ? await readdir(path) : [basename(path)];
  const folder = facts.isDirectory() ? path : join(path, '..');
  const scripts = names.filter((name) => name.endsWith('.sql')).toSorted();
  if (scripts.length === 0 && given !== undefined) {
    throw new AppError('invalid_input', `smoke: ${path} is no .sql file and has none`);
  }
  const files = new Map<string, Buffer>();
  for (const name of scripts) files.set(`smoke/${name}`, await readFile(join(folder, name)));
  return files;
}

function fileNotes(files: ReadonlyMap<string, Buffer>, folders: readonly string[]): string[] {
  return [...files].flatMap(([path, data]) => [
    // Maps of paths reach what compilers write; what a Makefile writes itself is only found.
    ...(folders.some((folder) => data.includes(`${folder}/`))
      ? [`${path} names a folder of this machine: it differs from build to build`]
      : []),
    ...(path.startsWith('lib/') && readElf(data, path).needed.includes('libstdc++.so.6')
      ? [`${path} needs libstdc++.so.6 of the target`]
      : []),
  ]);
}
