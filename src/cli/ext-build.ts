import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Built } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { signerOf, withPackage, writeResult, type TrustFlags } from './ext-files.ts';
import { extLog, showExtProgress } from './ext-progress.ts';
import { withSignal } from './ext-target.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { formatBytes, note, plural, printDocument } from './output.ts';

export interface BuildFlags extends TrustFlags {
  readonly pgDevPackage?: string;
  readonly set?: string[];
  readonly smoke?: string;
  readonly name?: string;
  readonly jobs: number;
  readonly unsigned?: true;
}

/** The flags of whatever builds. */
export function addBuildFlags(command: Command): Command {
  return command
    .optionsGroup('Build:')
    .option('--pg-dev-package <file>', 'What `centuria ext package` has made of the server.')
    .option('--set <name=value>', 'A variable of make or CMake; may repeat.', collect)
    .option(
      '--smoke <path>',
      'SQL that proves that it works: a file, or a folder of them (smoke/).',
    )
    .option('--name <name>', 'Of the bundle; that of its extension unless given.')
    .option('--jobs <number>', 'Compilers at the same time.', wholeNumber(1, 256), 2)
    .option('--unsigned', 'Without a record of who built it.')
    .optionsGroup('Options:');
}

/** `centuria ext build`. */
export function registerExtBuild(group: Command, context: CliContext): void {
  const command = group
    .command('build')
    .description(
      'Build an extension (PGXS or CMake) for the server of a package; print the bundle.',
    )
    .argument('<source>', 'The folder of its sources, which is not written to.')
    .option('--file <path>', 'Where to write the bundle.')
    .option('--allow-unsigned', 'Take a package that no trusted key signed.');
  addExamples(addBuildFlags(command), [
    [
      'pgvector, for every processor of its kind',
      "centuria ext build pgvector --pg-dev-package postgresql-17.6-x86_64.tar.gz --set OPTFLAGS=''",
    ],
  ]).action(async (source: string, flags: BuildFlags & { file?: string }) => {
    const built = await withSignal(context, (signal) => build(context, source, flags, signal));
    const { bundle, metadata, digest, notes } = built;
    const file = await writeResult(context, flags.file, built.fileName, bundle);
    if (context.format === 'table') tellBuilt(context, built);
    printDocument(context, { file, digest, sizeBytes: bundle.length, metadata, notes }, () => file);
  });
}

/** Builds with what goes on shown; throws `ext_build_failed` and what a package may be refused with. */
export async function build(
  context: CliContext,
  source: string,
  flags: BuildFlags,
  signal: AbortSignal,
): Promise<Built> {
  const { pgDevPackage } = flags;
  if (pgDevPackage === undefined) {
    throw new AppError('usage', `nothing says for which server ${source} is to be built`, {
      remedy: 'Add --pg-dev-package FILE; centuria ext package makes it.',
    });
  }
  const { buildExtension } = await import('../ext/ext.ts');
  const { cacheFolder } = await import('../database/database.ts');
  const settings = settingsOf(flags.set ?? []);
  const signer = await signerOf(context, flags);
  const progress = showExtProgress(context);
  return await withPackage(context, pgDevPackage, flags, async (opened) => {
    const { version, architecture } = opened.facts;
    progress.phase(`building ${source} for PostgreSQL ${version}, ${architecture}`);
    return await buildExtension({
      source: resolve(context.cwd, source),
      package: opened,
      settings,
      ...(flags.smoke === undefined ? {} : { smoke: resolve(context.cwd, flags.smoke) }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(signer === undefined ? {} : { signer }),
      cacheFolder: cacheFolder(context.env),
      jobs: flags.jobs,
      onLine: progress.line,
      signal,
      log: extLog(context),
    });
  }).finally(progress.clear);
}

export function tellBuilt(context: CliContext, { metadata, digest, bundle, notes }: Built): void {
  const { name, version, target, files } = metadata;
  const glibc = target.glibc === undefined ? '' : `, needs glibc ${target.glibc}`;
  note(
    context,
    `Built ${name} ${version} for PostgreSQL ${target.major}, ${target.architecture}${glibc}: ` +
      `${plural(files.length, 'file')}, ${formatBytes(bundle.length)}, ${digest.slice(0, 12)}.`,
  );
  for (const text of notes) note(context, `${context.stderr.colours.dim('note')}  ${text}`);
}

/** `NAME=VALUE`, an empty value too. */
export function settingsOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text): [string, string] => {
      const at = text.indexOf('=');
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new AppError('usage', `--set ${text} is not NAME=VALUE`);
    }),
  );
}
