import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Architecture, ServerPackage, Signer } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { signerOf, writeResult } from './ext-files.ts';
import { extLog, showExtProgress } from './ext-progress.ts';
import { addHostFlags, withSignal, type HostFlags } from './ext-target.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatBytes, note, printDocument } from './output.ts';

interface PackageFlags extends HostFlags {
  readonly debian?: number;
  readonly arch: Architecture | 'amd64' | 'arm64';
  readonly folder?: string;
  readonly file?: string;
  readonly unsigned?: true;
}

/** As people and Debian call them. */
export const architectureNames = ['x86_64', 'aarch64', 'amd64', 'arm64'] as const;

export function architectureOf(name: (typeof architectureNames)[number]): Architecture {
  if (name === 'amd64') return 'x86_64';
  return name === 'arm64' ? 'aarch64' : name;
}

/** `centuria ext package`. */
export function registerExtPackage(group: Command, context: CliContext): void {
  const command = group
    .command('package')
    .description('Package what a server is built with, to build for it elsewhere; print the file.')
    .option(
      '--debian <major>',
      'Of Debian’s packages instead: 13, 15, 17 or 18.',
      wholeNumber(1, 99),
    )
    .addOption(
      new Option('--arch <architecture>', 'With --debian: of which machine.')
        .choices(architectureNames)
        .default(process.arch === 'arm64' ? 'aarch64' : 'x86_64'),
    )
    .option('--folder <path>', 'Of an installation, or of unpacked packages, on this machine.')
    .option('--file <path>', 'Where to write it.')
    .option('--unsigned', 'Without a signature.');
  addExamples(addHostFlags(command).optionsGroup('Options:'), [
    ['Of a server on another machine', 'centuria ext package --host postgres@db1'],
    ['Of the PostgreSQL 17 of Debian, for arm64', 'centuria ext package --debian 17 --arch arm64'],
    [
      'Of one of several on this machine',
      'centuria ext package --pg-config /usr/lib/postgresql/17/bin/pg_config',
    ],
  ]).action((flags: PackageFlags) => makePackage(context, flags));
}

async function makePackage(context: CliContext, flags: PackageFlags): Promise<void> {
  assertOneSource(flags);
  const progress = showExtProgress(context);
  const signer = await signerOf(context, flags);
  const made = await withSignal(context, (signal) =>
    packageFrom(context, flags, signer, signal, progress.phase),
  ).finally(progress.clear);
  const { facts, digest, bytes } = made;
  const usual = `postgresql-${facts.version}-${facts.architecture}.tar.gz`;
  const file = await writeResult(context, flags.file, usual, bytes);
  if (context.format === 'table') {
    const glibc = facts.glibc === undefined ? 'no glibc' : `glibc ${facts.glibc}`;
    note(
      context,
      `PostgreSQL ${facts.version}, ${facts.architecture}, ${glibc}, of ${facts.origin}: ` +
        `${formatBytes(bytes.length)}, ${signer === undefined ? 'not signed' : 'signed'}.`,
    );
  }
  const { version, major, architecture, glibc, origin } = facts;
  const result = {
    file,
    digest,
    sizeBytes: bytes.length,
    ...(signer === undefined ? {} : { signedBy: signer.keyId }),
    server: { version, major, architecture, ...(glibc === undefined ? {} : { glibc }), origin },
  };
  printDocument(context, result, () => file);
}

function assertOneSource(flags: PackageFlags): void {
  const given = (
    [
      ['--debian', flags.debian],
      ['--folder', flags.folder],
      ['--host or --pg-config', flags.host ?? flags.pgConfig],
    ] as const
  ).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (given.length < 2) return;
  throw new AppError('usage', `${given.join(' and ')} name different servers`, {
    remedy: 'Give one of them.',
  });
}

async function packageFrom(
  context: CliContext,
  flags: PackageFlags,
  signer: Signer | undefined,
  signal: AbortSignal,
  phase: (text: string) => void,
): Promise<ServerPackage> {
  const { openHost, packageDebian, packageFolder, packageServer } = await import('../ext/ext.ts');
  const { cacheFolder } = await import('../database/database.ts');
  const options = { signer, cacheFolder: cacheFolder(context.env), signal };
  if (flags.debian !== undefined) {
    phase(`fetching the packages of PostgreSQL ${flags.debian}`);
    const architecture = architectureOf(flags.arch);
    return await packageDebian({ major: flags.debian, architecture }, options);
  }
  if (flags.folder !== undefined) {
    return await packageFolder(resolve(context.cwd, flags.folder), options);
  }
  phase(`reading the server of ${flags.host ?? 'this machine'}`);
  const host = await openHost(flags.host, {
    log: extLog(context),
    sshOptions: flags.sshOption ?? [],
    signal,
  });
  try {
    return await packageServer(host, { pgConfig: flags.pgConfig }, options);
  } finally {
    await host.close();
  }
}
