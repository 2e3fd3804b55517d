/**
 * Unpacks Debian packages beside the system and makes their programs run through their own loader
 * and C library, so that a server of a newer Debian works on an older host.
 */
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installError, runTool } from './install-tools.ts';
import type { PostgresPackage } from './postgres-packages.ts';

/** What the server and its tools load: libraries, time zones and PostgreSQL itself. */
const wanted = /^(?:lib.+|zlib1g|tzdata|postgresql-(?:client-)?\d+(?:-pgvector)?)$/;

/**
 * Libraries in the closure that nothing here loads: Perl's, those of LLVM (PostgreSQL's JIT, 130 MB)
 * and those of tools that manage accounts and services. The check after unpacking proves it.
 */
const unwanted =
  /(?:perl|^lib(?:llvm|z3-|pam-modules|pam-runtime|semanage|sepol|debconf|json-|ipc-|io-pty|text-|sasl2-modules-db|edit|bsd|gdbm|ncurses|apt|proc|c-l10n|c-bin|types|common-sense|acl|attr|md0|db5))/;

/** Whether a package of the closure is unpacked. */
export function isUnpacked({ name }: PostgresPackage): boolean {
  return wanted.test(name) && !unwanted.test(name);
}

/** Unpacks the files into `root` and makes its programs run; returns the folder of the programs. */
export async function unpack(options: {
  files: readonly string[];
  root: string;
  major: number;
  signal?: AbortSignal | undefined;
  onFile: (done: number) => void;
}): Promise<string> {
  const { root, major, signal } = options;
  await mkdir(root);
  let done = 0;
  for (const file of options.files) {
    await runTool('dpkg-deb', ['-x', file, root], { signal });
    options.onFile((done += 1));
  }
  await mergeUsr(root, signal);
  await trim(root, major);
  const binFolder = join(root, 'usr/lib/postgresql', String(major), 'bin');
  const triplet = await findTriplet(root);
  await wrapPrograms(binFolder, root, triplet, major);
  await assertComplete(root, major, triplet, signal);
  return binFolder;
}

/** Up to Debian 12 the C library's package still says /lib; the rest of it is under /usr. */
async function mergeUsr(root: string, signal: AbortSignal | undefined): Promise<void> {
  for (const name of ['lib', 'lib64']) {
    const old = join(root, name);
    if (!existsSync(old)) continue;
    await runTool('cp', ['-a', '--remove-destination', old, join(root, 'usr')], { signal });
    await rm(old, { recursive: true });
  }
}

async function trim(root: string, major: number): Promise<void> {
  const server = join('usr/lib/postgresql', String(major), 'lib');
  const useless = [
    'bin',
    'etc',
    'sbin',
    'var',
    'usr/sbin',
    'usr/share/doc',
    'usr/share/man',
    'usr/share/locale',
    'usr/share/lintian',
    'usr/share/bug',
    'usr/share/gcc',
    join(server, 'bitcode'),
  ];
  for (const path of useless) await rm(join(root, path), { recursive: true, force: true });
  // Without LLVM the JIT's provider could not be loaded; without the provider the server runs on.
  for (const name of await readdir(join(root, server))) {
    if (name.startsWith('llvmjit')) await rm(join(root, server, name), { recursive: true });
  }
}

async function findTriplet(root: string): Promise<string> {
  const names = await readdir(join(root, 'usr/lib'));
  const triplet = names.find((name) => name.endsWith('-linux-gnu'));
  if (triplet === undefined) throw installError('broken', 'the packages hold no C library');
  return triplet;
}

async function findLoader(root: string, triplet: string): Promise<string> {
  const folder = join('usr/lib', triplet);
  const names = await readdir(join(root, folder));
  const name = names.find((each) => /^ld-linux-.*\.so\.\d+$/.test(each));
  if (name === undefined) throw installError('broken', 'the packages hold no loader');
  return join(folder, name);
}

/** Puts a script in the place of each program that runs it through the loader beside it. */
async function wrapPrograms(
  binFolder: string,
  root: string,
  triplet: string,
  major: number,
): Promise<void> {
  const loader = await findLoader(root, triplet);
  // Debian 11's loader (before glibc 2.33) can not be told the program's name; its 13 lives without.
  const named = major > 13;
  for (const name of await readdir(binFolder)) {
    const program = join(binFolder, name);
    if (!(await isElf(program))) continue;
    await rename(program, `${program}.real`);
    const argv0 = named ? `--argv0 "$bin/${name}" ` : '';
    const script = [
      '#!/bin/sh',
      'bin=$(dirname "$(readlink -f "$0")")',
      'root=$bin/../../../../..',
      `exec "$root/${loader}" ${argv0}--library-path "$root/usr/lib/${triplet}" "$bin/${name}.real" "$@"`,
      '',
    ];
    await writeFile(program, script.join('\n'));
    await chmod(program, 0o755);
  }
}

async function isElf(path: string): Promise<boolean> {
  if (!(await lstat(path)).isFile()) return false;
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.equals(Buffer.from('\x7fELF', 'latin1'));
  } finally {
    await file.close();
  }
}

/** Every library that a program or module of the server needs must be in the install itself. */
async function assertComplete(
  root: string,
  major: number,
  triplet: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const loader = join(root, await findLoader(root, triplet));
  const libraries = join(root, 'usr/lib', triplet);
  const server = join(root, 'usr/lib/postgresql', String(major));
  for (const folder of [join(server, 'bin'), join(server, 'lib')]) {
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!/\.(?:real|so)$/.test(name) || !(await isElf(path))) continue;
      const list = await runTool(loader, ['--library-path', libraries, '--list', path], { signal });
      for (const [, library, found] of list.matchAll(
        /^\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$/gm,
      )) {
        if (found?.startsWith(libraries)) continue;
        throw installError('broken', `${name} needs ${library}, which no package brought`, {
          details: { program: name, library },
        });
      }
    }
  }
  if (!existsSync(join(server, 'bin/postgres.real'))) {
    throw installError('broken', `the packages hold no PostgreSQL ${major} server`);
  }
}
