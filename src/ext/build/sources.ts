/** The sources of a build: what they are, how old, and a private copy of them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  utimes,
} from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../base/base.ts';

const run = promisify(execFile);

/** PostGIS with its tests has about 4,000 files and 60 MB. */
const mostFiles = 50_000;
const mostBytes = 1024 ** 3;

export interface SourceFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly isExecutable: boolean;
  readonly mtimeMs: number;
  readonly sizeBytes: number;
  /** Of a symbolic link: where it points, always within the sources. */
  readonly link?: string;
}

export interface Sources {
  readonly folder: string;
  readonly kind: 'pgxs' | 'cmake';
  /** Sorted by path. */
  readonly files: readonly SourceFile[];
  /** SHA-256 over paths, permissions and contents, lower-case hexadecimal. */
  readonly digest: string;
  /** Seconds since 1970: of the commit where all of it is committed, else of the newest file. */
  readonly date: number;
}

/** What an earlier build left in the folder is no source: it may be for another server. */
const left = /\.(?:o|so|bc|lo)$/;
const foldersLeft = new Set(['.git', '.hg', '.svn', 'CMakeFiles']);

/**
 * Reads the sources in a folder. Throws `not_found`, `invalid_input` where there is neither a PGXS
 * Makefile nor a CMakeLists.txt or a link leads outside, and `too_large`.
 */
export async function readSources(folder: string): Promise<Sources> {
  const kind = await findKind(folder);
  const files = await listFiles(folder);
  const digest = createHash('sha256');
  for (const file of files) {
    const mode = file.link !== undefined ? 'link' : file.isExecutable ? '755' : '644';
    const content = file.link ?? (await readFile(join(folder, file.path)));
    digest.update(`${mode} ${createHash('sha256').update(content).digest('hex')} ${file.path}\n`);
  }
  const newest = Math.floor(Math.max(...files.map(({ mtimeMs }) => mtimeMs)) / 1000);
  const date = (await commitDate(folder)) ?? newest;
  return { folder, kind, files, digest: digest.digest('hex'), date };
}

/** Copies them with their times, which make looks at; the copy's permissions are 644 and 755. */
export async function copySources({ folder, files }: Sources, into: string): Promise<void> {
  for (const { path, link, isExecutable, mtimeMs } of files) {
    const target = join(into, path);
    await mkdir(dirname(target), { recursive: true });
    if (link !== undefined) {
      await symlink(link, target);
      continue;
    }
    await copyFile(join(folder, path), target);
    await chmod(target, isExecutable ? 0o755 : 0o644);
    await utimes(target, mtimeMs / 1000, mtimeMs / 1000);
  }
}

async function listFiles(root: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const folders = [''];
  let totalBytes = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readFolder(root, folder)) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!foldersLeft.has(entry.name)) folders.push(path);
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        if (left.test(entry.name)) continue;
        const file = await describeFile(root, path);
        files.push(file);
        totalBytes += file.sizeBytes;
      }
      if (files.length > mostFiles || totalBytes > mostBytes) {
        throw new AppError('too_large', `${root}: more than ${mostFiles} files or 1 GiB`, {
          remedy: 'Give the folder of one extension.',
        });
      }
    }
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function readFolder(root: string, folder: string) {
  try {
    return await readdir(join(root, folder), { withFileTypes: true });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new AppError(code === 'EACCES' ? 'denied' : 'not_found', `sources: ${message}`, {
      details: { folder: join(root, folder) },
      cause,
    });
  }
}

async function describeFile(root: string, path: string): Promise<SourceFile> {
  const facts = await lstat(join(root, path));
  const { mtimeMs, size } = facts;
  const file = { path, isExecutable: (facts.mode & 0o100) !== 0, mtimeMs, sizeBytes: size };
  if (!facts.isSymbolicLink()) return file;
  const link = await readlink(join(root, path));
  const end = normalize(join(dirname(path), link));
  if (isAbsolute(link) || end === '..' || end.startsWith('../')) {
    throw new AppError('invalid_input', `${path}: a link to ${link}, outside of the sources`, {
      remedy: 'Put the file itself there: what is outside would not be in the provenance.',
      details: { path, link },
    });
  }
  return { ...file, link };
}

async function findKind(folder: string): Promise<Sources['kind']> {
  const names = new Set((await readFolder(folder, '')).map(({ name }) => name));
  // In the order in which make looks for them, and it takes the first.
  const makefile = ['GNUmakefile', 'makefile', 'Makefile'].find((name) => names.has(name));
  if (makefile !== undefined) {
    const text = await readFile(join(folder, makefile), 'utf8');
    if (/\bPGXS\b|--pgxs/.test(text)) return 'pgxs';
  }
  if (names.has('CMakeLists.txt')) return 'cmake';
  throw new AppError(
    'invalid_input',
    `${folder}: neither a Makefile that uses PGXS nor a CMakeLists.txt`,
    {
      remedy: names.has('configure')
        ? `Run ./configure in ${basename(folder)} first: it writes the Makefile.`
        : 'Give the folder in which `make install` of the extension works.',
      details: { folder },
    },
  );
}

/** When the newest commit of this folder was made, if git knows the folder and nothing in it differs. */
async function commitDate(folder: string): Promise<number | undefined> {
  const git = async (...words: string[]): Promise<string> =>
    (await run('git', ['-C', folder, ...words], { env: gitEnvironment() })).stdout.trim();
  try {
    if ((await git('status', '--porcelain', '--', '.')) !== '') return undefined;
    const seconds = Number(await git('log', '-1', '--format=%ct', '--', '.'));
    return Number.isSafeInteger(seconds) && seconds > 0 ? seconds : undefined;
  } catch {
    // No git, no repository, or one of somebody else: the files tell their age themselves.
    return undefined;
  }
}

/** Without what would point git at another repository than the folder's. */
function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}
