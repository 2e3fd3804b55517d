import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ToolError } from './errors.ts';
import { runProgram, streamProgram, type ProgramOptions } from './process.ts';

/** Git, reading one repository and trusting nothing in it. */
export interface Git {
  readonly top: string;
  readonly head: string | undefined;
  readonly branch: string | undefined;
  readonly isShallow: boolean;
  /** Standard output as text; throws where git fails. */
  text(args: readonly string[], options?: { stdin?: string; timeoutMs?: number }): Promise<string>;
  /** Standard output cut at NUL or, on request, at line ends, without holding it all. */
  records(args: readonly string[], separator?: '\0' | '\n'): AsyncIterable<Buffer>;
}

interface Place {
  /** The folder that holds `.git`. */
  readonly top: string;
  /** HEAD and the index; a linked worktree has its own. */
  readonly gitFolder: string;
  /** Objects and refs. */
  readonly commonFolder: string;
}

const settings = [
  ['core.quotepath', 'off'],
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', '/dev/null'],
  // A blob beyond it is not diffed line by line.
  ['core.bigFileThreshold', '8m'],
  ['diff.renameLimit', '400'],
  ['log.showSignature', 'false'],
  ['gc.auto', '0'],
] as const;
const settingArgs = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]);

/**
 * Git for the repository that `path` is in. A repository's own configuration can name programs
 * (fsmonitor, filters, textconv, external diff, gpg, remote helpers) and another working tree, and
 * refusing them one by one would miss the next one that git grows. So git gets a git folder of ours
 * that shares the objects, refs and index but has no configuration, hooks or attributes of theirs.
 * It lives beside other temporary files and is removed when the process ends.
 */
export async function openGit(path: string): Promise<Git> {
  const place = findRepository(path);
  const shadow = await makeShadow(place);
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: shadow,
    LC_ALL: 'C.UTF-8',
    GIT_DIR: shadow,
    GIT_WORK_TREE: place.top,
    GIT_INDEX_FILE: join(place.gitFolder, 'index'),
    GIT_OBJECT_DIRECTORY: join(place.commonFolder, 'objects'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
    GIT_PAGER: 'cat',
  };
  const options: ProgramOptions = { cwd: place.top, env };
  const check = (args: readonly string[], exitCode: number, stderr: string): void => {
    if (exitCode !== 0) throw gitFailed(place, args, exitCode, stderr);
  };
  const text: Git['text'] = async (args, more = {}) => {
    const result = await runProgram('git', [...settingArgs, ...args], { ...options, ...more });
    check(args, result.exitCode, result.stderr);
    return result.stdout.toString();
  };
  const head = await runProgram('git', ['rev-parse', '--verify', '-q', 'HEAD^{commit}'], options);
  const branch = await runProgram('git', ['symbolic-ref', '-q', '--short', 'HEAD'], options);
  return {
    top: place.top,
    head: head.exitCode === 0 ? head.stdout.toString().trim() : undefined,
    branch: branch.exitCode === 0 ? branch.stdout.toString().trim() : undefined,
    isShallow: existsSync(join(shadow, 'shallow')),
    text,
    records: (args, separator = '\0') =>
      streamProgram(
        'git',
        [...settingArgs, ...args],
        { ...options, separator: separator.charCodeAt(0) },
        (result) => check(args, result.exitCode, result.stderr),
      ),
  };
}

function gitFailed(
  place: Place,
  args: readonly string[],
  exitCode: number,
  stderr: string,
): ToolError {
  const reason = stderr.trim().split('\n').at(-1) ?? '';
  if (isPartialClone(place)) {
    return new ToolError(
      'unavailable',
      `${place.top} is a partial clone and objects are missing (${reason})`,
      'Run git fetch --refetch --no-filter, or clone it whole.',
    );
  }
  return new ToolError(
    'noInput',
    `git ${args[0]} failed with ${exitCode} in ${place.top}: ${reason}`,
  );
}

/** The packs of a partial clone are marked; fetching what they lack is not for a tool that only reads. */
function isPartialClone(place: Place): boolean {
  const packs = join(place.commonFolder, 'objects', 'pack');
  return existsSync(packs) && readdirSync(packs).some((name) => name.endsWith('.promisor'));
}

/** Walks up to the nearest `.git`. Git's own search would obey `core.worktree` of the repository. */
function findRepository(path: string): Place {
  const start = resolve(path);
  const stat = statSync(start, { throwIfNoEntry: false });
  if (stat === undefined) throw notARepository(`${start} does not exist`);
  for (let folder = realpathSync(stat.isDirectory() ? start : dirname(start)); ;) {
    const found = readGitEntry(folder);
    if (found !== undefined) return found;
    if (isGitFolder(folder)) {
      throw new ToolError(
        'noInput',
        `${folder} is a git folder without a working tree (a bare repository, or .git itself)`,
        'Give the folder of a clone with its files: git clone it somewhere.',
      );
    }
    const parent = dirname(folder);
    if (parent === folder) throw notARepository(`${start} is not in a git repository`);
    folder = parent;
  }
}

function notARepository(message: string): ToolError {
  return new ToolError('noInput', message, 'Give --repo the folder of a git repository.');
}

function readGitEntry(top: string): Place | undefined {
  const entry = join(top, '.git');
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  let gitFolder = entry;
  if (stat.isFile()) {
    // A linked worktree or a submodule: one line that says where its git folder is.
    const target = /^gitdir: (.+?)\s*$/.exec(readFileSync(entry, 'utf8').slice(0, 8_192))?.[1];
    if (target === undefined) return undefined;
    gitFolder = resolve(top, target);
  }
  const common = join(gitFolder, 'commondir');
  const commonFolder = existsSync(common)
    ? resolve(gitFolder, readFileSync(common, 'utf8').trim())
    : gitFolder;
  if (isGitFolder(commonFolder)) return { top, gitFolder, commonFolder };
  if (!stat.isFile()) return undefined;
  throw notARepository(`${entry} points to ${gitFolder}, which is no git folder`);
}

function isGitFolder(folder: string): boolean {
  return existsSync(join(folder, 'HEAD')) && existsSync(join(folder, 'objects'));
}

async function makeShadow(place: Place): Promise<string> {
  const shadow = mkdtempSync(join(tmpdir(), 'centuria-git-'));
  process.once('exit', () => rmSync(shadow, { recursive: true, force: true }));
  writeFileSync(join(shadow, 'HEAD'), readFileSync(join(place.gitFolder, 'HEAD')));
  writeFileSync(join(shadow, 'config'), await formatOf(place));
  mkdirSync(join(shadow, 'info'));
  for (const name of ['refs', 'packed-refs', 'shallow', 'reftable']) {
    const target = join(place.commonFolder, name);
    if (existsSync(target)) symlinkSync(target, join(shadow, name));
  }
  if (!existsSync(join(shadow, 'refs'))) mkdirSync(join(shadow, 'refs'));
  // A split index keeps its larger part in files beside it.
  for (const name of readdirSync(place.gitFolder)) {
    if (name.startsWith('sharedindex.')) {
      symlinkSync(join(place.gitFolder, name), join(shadow, name));
    }
  }
  return shadow;
}

const formatValues: Readonly<Record<string, readonly string[]>> = {
  'extensions.objectformat': ['sha1', 'sha256'],
  'extensions.refstorage': ['files', 'reftable'],
};

/** The part of the configuration without which git could not read the data: how it is stored. */
async function formatOf(place: Place): Promise<string> {
  const file = join(place.commonFolder, 'config');
  let text = '[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n';
  if (!existsSync(file)) return text;
  const { stdout } = await runProgram(
    'git',
    ['config', '--file', file, '--no-includes', '--null', '--get-regexp', '^extensions\\.'],
    {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', GIT_CONFIG_NOSYSTEM: '1', HOME: '/' },
    },
  );
  for (const entry of stdout.toString().split('\0')) {
    const [name = '', value = ''] = entry.split('\n');
    if (formatValues[name]?.includes(value) === true) {
      text += `\t${name.slice('extensions.'.length)} = ${value}\n`;
    }
  }
  return text;
}
