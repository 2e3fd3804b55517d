/** What CREATE EXTENSION and ALTER EXTENSION UPDATE will say, known before they are asked. */
import { toAppError } from '../../base/base.ts';
import type { InstalledExtension } from '../deployment-types.ts';
import type { Bundle, ElfFacts, ExtensionEntry, ExtFinding, ServerFacts } from '../types.ts';
import { parseControl, type ControlFile } from './control.ts';
import { readScript, type ScriptFunctions } from './scripts.ts';
import { downPath, installPath, scriptsOf, updatePath, versionsOf } from './update-path.ts';

/** A function of a live catalogue: `probin` and `prosrc` of pg_proc. */
export interface CatalogueFunction {
  readonly library: string;
  readonly symbol: string;
}

export interface ExtensionContext {
  readonly bundle: Bundle;
  readonly facts: ServerFacts;
  readonly libraries: ReadonlyMap<string, ElfFacts>;
  readonly withMagic: ReadonlySet<string>;
  readonly installed: readonly InstalledExtension[];
  readonly catalogueFunctions?: readonly CatalogueFunction[];
}

interface Extension {
  readonly entry: ExtensionEntry;
  readonly control: ControlFile;
  readonly controlFile: string;
  /** Names of all scripts in the bundle. */
  readonly fileNames: readonly string[];
}

export function checkExtensions(context: ExtensionContext): readonly ExtFinding[] {
  const { bundle, catalogueFunctions } = context;
  const fileNames = [...bundle.files.keys()]
    .filter((path) => path.startsWith('extension/'))
    .map((path) => path.slice('extension/'.length));
  const findings: ExtFinding[] = [];
  for (const entry of bundle.metadata.extensions) {
    const controlFile = `extension/${entry.name}.control`;
    const control = readControl(context, entry, controlFile, findings);
    if (control === undefined) continue;
    const extension = { entry, control, controlFile, fileNames };
    findings.push(
      ...checkControl(context, extension),
      ...checkInstall(context, extension),
      ...checkUpdates(context, extension),
    );
  }
  if (catalogueFunctions !== undefined) {
    findings.push(...checkGone(context, catalogueFunctions, 'a database of this server'));
  }
  return findings;
}

function readControl(
  { bundle }: ExtensionContext,
  entry: ExtensionEntry,
  file: string,
  findings: ExtFinding[],
): ControlFile | undefined {
  const bytes = bundle.files.get(file);
  if (bytes === undefined) {
    const message = `The bundle says that it has ${entry.name}, but there is no ${file}.`;
    const remedy = `Build it again, with ${entry.name}.control among what is installed.`;
    findings.push({ level: 'refuse', rule: 'control-missing', message, remedy, file });
    return undefined;
  }
  try {
    return parseControl(bytes.toString('utf8'), file);
  } catch (thrown) {
    const { code, message, details } = toAppError(thrown);
    if (code !== 'invalid_input') throw thrown;
    const at = typeof details['line'] === 'number' ? { line: details['line'] } : {};
    const remedy = 'CREATE EXTENSION refuses such a control file: put this line right.';
    findings.push({ level: 'refuse', rule: 'control-invalid', message, remedy, file, ...at });
    return undefined;
  }
}

function checkControl(
  { bundle, facts }: ExtensionContext,
  { entry, control, controlFile: file }: Extension,
): readonly ExtFinding[] {
  const findings: ExtFinding[] = [];
  const refuse = (rule: string, message: string, remedy: string): void => {
    findings.push({ level: 'refuse', rule, message, remedy, file });
  };
  if (control.defaultVersion !== entry.version) {
    refuse(
      'control-invalid',
      `${file} says version ${control.defaultVersion ?? '(none)'}, the metadata ${entry.version}.`,
      'Build the bundle again: its metadata are not those of its files.',
    );
  }
  if (control.directory !== undefined && control.directory !== 'extension') {
    refuse(
      'control-directory',
      `${file} puts its scripts into ${control.directory}, where a bundle has them beside it.`,
      'Build it without a directory in its control file.',
    );
  }
  for (const name of control.requires) {
    const needed = `${name}.control`;
    if (bundle.files.has(`extension/${needed}`) || facts.extensionFiles.includes(needed)) continue;
    refuse(
      'requires-missing',
      `${entry.name} requires ${name}, which neither the bundle nor the server has.`,
      `Deploy ${name} first, or install its package on the server.`,
    );
  }
  return findings;
}

function checkInstall(context: ExtensionContext, extension: Extension): readonly ExtFinding[] {
  const { entry, controlFile, control, fileNames } = extension;
  const path = installPath(entry.name, fileNames, entry.version);
  const scripts = path === undefined ? [] : scriptsOf(entry.name, path, true);
  const findings = checkModule(context, extension, scripts);
  if (path !== undefined) return [...findings, ...checkFunctions(context, control, scripts)];
  const known = versionsOf(entry.name, fileNames).join(', ');
  return [
    ...findings,
    {
      level: 'refuse',
      rule: 'sql-missing',
      message: `No scripts install ${entry.name} ${entry.version}: ${known === '' ? 'there are none' : `they know ${known}`}.`,
      remedy: `Add extension/${entry.name}--${entry.version}.sql, or an update that ends there.`,
      file: controlFile,
    },
  ];
}

/** The library of module_pathname: here or on the server, and PostgreSQL's own kind. */
function checkModule(
  context: ExtensionContext,
  { control, controlFile }: Extension,
  scripts: readonly string[],
): readonly ExtFinding[] {
  const { bundle, facts } = context;
  const { modulePathname } = control;
  const path = modulePathname === undefined ? undefined : libraryPath(modulePathname);
  if (path === undefined) return [];
  if (bundle.files.has(path)) {
    if (context.withMagic.has(path) || !context.libraries.has(path)) return [];
    // One for another processor was not asked for its magic, and is refused for that already.
    if (context.libraries.get(path)?.architecture !== facts.architecture) return [];
    const message = `${path} is the module of ${controlFile}, but has no magic: PostgreSQL refuses to load it.`;
    const remedy =
      'Write PG_MODULE_MAGIC; once into one of its sources, and do not hide its symbols.';
    return [{ level: 'refuse', rule: 'no-magic', message, remedy, file: path }];
  }
  if (facts.libraryFiles.includes(path.slice('lib/'.length))) return [];
  const isUsed = scripts.some((script) => textOf(bundle, script)?.includes('MODULE_PATHNAME'));
  const message = `${controlFile} names ${modulePathname}, which neither the bundle nor the server has.`;
  const remedy = `Build it with ${path}, or take module_pathname out where nothing is written in C.`;
  const level = isUsed ? 'refuse' : 'warn';
  return [{ level, rule: 'module-missing', message, remedy, file: controlFile }];
}

/** CREATE FUNCTION looks for the symbol at once, and for what PG_FUNCTION_INFO_V1 makes. */
function checkFunctions(
  { bundle, libraries }: ExtensionContext,
  control: ControlFile,
  scripts: readonly string[],
): readonly ExtFinding[] {
  const findings: ExtFinding[] = [];
  for (const script of scripts) {
    for (const declared of readBundleScript(bundle, script)?.declared ?? []) {
      const path = libraryPath(withModule(declared.library, control));
      const elf = path === undefined ? undefined : libraries.get(path);
      if (elf === undefined) continue;
      const lacks = [declared.symbol, `pg_finfo_${declared.symbol}`].find(
        (name) => !elf.defined.has(name),
      );
      if (lacks === undefined) continue;
      findings.push({
        level: 'refuse',
        rule: 'function-missing',
        message: `${script} declares ${declared.name}, for which ${path} lacks ${lacks}.`,
        remedy:
          'The script and the library are not of the same version: build both from one source.',
        file: `extension/${script}`,
        line: declared.line,
      });
    }
  }
  return findings;
}

function checkUpdates(context: ExtensionContext, extension: Extension): readonly ExtFinding[] {
  const { entry, control, controlFile: file, fileNames } = extension;
  const of = context.installed.filter(
    ({ name, version }) => name === entry.name && version !== entry.version,
  );
  return [...new Set(of.map(({ version }) => version))].flatMap(
    (version): readonly ExtFinding[] => {
      const findings: ExtFinding[] = [];
      const where = listedDatabases(of.filter((one) => one.version === version));
      const path = updatePath(entry.name, fileNames, version, entry.version);
      if (path === undefined) {
        const message = `${where} ${entry.name} ${version}, from which no scripts lead to ${entry.version}.`;
        const remedy = `Add extension/${entry.name}--${version}--${entry.version}.sql, or the steps between.`;
        findings.push({ level: 'refuse', rule: 'update-path-missing', message, remedy, file });
      } else {
        findings.push(...checkFunctions(context, control, scriptsOf(entry.name, path, false)));
        if (downPath(entry.name, fileNames, version, entry.version) === undefined) {
          const message = `No scripts lead from ${entry.name} ${entry.version} back to ${version}: once committed, the update stays.`;
          const remedy = `Write extension/${entry.name}--${entry.version}--${version}.sql, or keep a backup.`;
          findings.push({ level: 'note', rule: 'one-way', message, remedy, file });
        }
      }
      // The live catalogue knows better than scripts what is declared.
      if (context.catalogueFunctions !== undefined) return findings;
      const functions = declaredAt(context.bundle, extension, version);
      return [...findings, ...checkGone(context, functions, `${entry.name} ${version}`)];
    },
  );
}

function listedDatabases(installed: readonly InstalledExtension[]): string {
  const databases = installed.map(({ database }) => database).toSorted();
  return databases.length === 1
    ? `Database ${databases[0]} has`
    : `${databases.length} databases, ${databases[0]} among them, have`;
}

/** What an older version has in the catalogue, as far as its scripts are here. */
function declaredAt(
  bundle: Bundle,
  { entry, control, fileNames }: Extension,
  version: string,
): readonly CatalogueFunction[] {
  const path = installPath(entry.name, fileNames, version);
  let live: (CatalogueFunction & { readonly name: string })[] = [];
  for (const script of path === undefined ? [] : scriptsOf(entry.name, path, true)) {
    const read = readBundleScript(bundle, script);
    if (read === undefined) continue;
    const drops = [...read.dropped];
    for (const [index, { name, library, symbol }] of read.declared.entries()) {
      while (drops[0] !== undefined && drops[0].after <= index)
        live = without(live, drops.shift()?.name);
      live.push({ name, library: withModule(library, control), symbol });
    }
    for (const { name } of drops) live = without(live, name);
  }
  return live;
}

/** All of a name: which of several was meant is not looked at, since a refusal must be sure. */
function without<T extends { readonly name: string }>(live: readonly T[], name?: string): T[] {
  return live.filter((one) => one.name !== name);
}

/** Between the switch of the files and the update of the catalogue, old functions call the new library. */
function checkGone(
  { libraries }: ExtensionContext,
  functions: readonly CatalogueFunction[],
  whose: string,
): readonly ExtFinding[] {
  const gone = new Map<string, Set<string>>();
  for (const { library, symbol } of functions) {
    const path = libraryPath(library);
    const elf = path === undefined ? undefined : libraries.get(path);
    if (path === undefined || elf === undefined || elf.defined.has(symbol)) continue;
    gone.set(path, (gone.get(path) ?? new Set()).add(symbol));
  }
  return [...gone].map(([file, symbols]) => ({
    level: 'refuse',
    rule: 'symbol-gone',
    message: `${whose} has functions for which ${file} has no code any more: ${[...symbols].toSorted().join(', ')}.`,
    remedy:
      'Keep them in the library, where they may raise an error, until no database has that version.',
    file,
  }));
}

function withModule(library: string, control: ControlFile): string {
  return library.replaceAll('MODULE_PATHNAME', control.modulePathname ?? 'MODULE_PATHNAME');
}

/** `$libdir/vector` and `vector` are `lib/vector.so` of a bundle; an absolute path is none of its files. */
function libraryPath(name: string): string | undefined {
  const file = name.startsWith('$libdir/') ? name.slice('$libdir/'.length) : name;
  if (file.startsWith('/') || file.startsWith('$') || file === 'MODULE_PATHNAME') return undefined;
  return file.endsWith('.so') ? `lib/${file}` : `lib/${file}.so`;
}

function textOf(bundle: Bundle, script: string): string | undefined {
  return bundle.files.get(`extension/${script}`)?.toString('utf8');
}

function readBundleScript(bundle: Bundle, script: string): ScriptFunctions | undefined {
  const text = textOf(bundle, script);
  return text === undefined ? undefined : readScript(text);
}
