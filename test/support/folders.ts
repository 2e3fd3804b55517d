/** Folders as a test sees them, byte by byte, and random ways to change them. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import * as fc from 'fast-check';

/** Path (latin1) to a line that says all that must come back. */
export type Contents = Readonly<Record<string, string>>;

/** Everything in a folder but what `skip` names, with kinds, modes, bytes and targets. */
export function contentsOf(
  folder: string,
  skip: (path: string) => boolean = () => false,
): Contents {
  const found: Record<string, string> = {};
  const visit = (path: string): void => {
    const onPath = pathIn(folder, path);
    const stat = lstatSync(onPath);
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isSymbolicLink()) {
      found[path] = `link ${readlinkSync(onPath, 'buffer').toString('latin1')}`;
    } else if (stat.isDirectory()) {
      found[path] = `folder ${mode}`;
      for (const name of readdirSync(onPath, 'buffer')) {
        const below = `${path === '' ? '' : `${path}/`}${name.toString('latin1')}`;
        if (!skip(below)) visit(below);
      }
    } else {
      const bytes = readFileSync(onPath);
      const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
      found[path] = `file ${mode} ${bytes.length} ${hash}`;
    }
  };
  visit('');
  return found;
}

export function pathIn(folder: string, path: string): Buffer {
  return Buffer.concat([
    Buffer.from(path === '' ? folder : `${folder}/`),
    Buffer.from(path, 'latin1'),
  ]);
}

export type Edit =
  | {
      readonly do: 'write';
      readonly path: string;
      readonly bytes: Uint8Array;
      readonly mode: number;
    }
  | { readonly do: 'append'; readonly path: string; readonly bytes: Uint8Array }
  | { readonly do: 'folder'; readonly path: string; readonly mode: number }
  | { readonly do: 'link'; readonly path: string; readonly target: string }
  | { readonly do: 'mode'; readonly path: string; readonly mode: number }
  | { readonly do: 'move'; readonly path: string; readonly to: string }
  | { readonly do: 'remove'; readonly path: string };

// Few names, so that edits meet: a line end, UTF-8, bytes that are none, a dash, a git-ignored one.
const name = fc.constantFrom(
  'a',
  'b',
  'new\nline',
  '\xc3\xa9',
  '\xff\xfe',
  '-rf',
  'x.log',
  'node_modules',
);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o640, 0o400, 0o4755);
const folderMode = fc.constantFrom(0o755, 0o700, 0o2775, 0o555);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom('line\r\nline\r\n', 'line\n', '$Id$\n', '').map((text) => Buffer.from(text)),
);

export const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), path, bytes, mode }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('append' as const), path, bytes }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('folder' as const), path, mode: folderMode }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('link' as const),
      path,
      target: fc.constantFrom('a', '../b', '/nowhere', '/etc', '\xff'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mode' as const), path, mode }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), path }) },
);

/** Does each edit that the folder allows; one that it refuses is passed over, as an agent's may be. */
export function applyEdits(folder: string, edits: readonly Edit[]): void {
  for (const one of edits) {
    try {
      applyEdit(folder, one);
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error)) throw error;
    }
  }
}

function applyEdit(folder: string, one: Edit): void {
  const at = pathIn(folder, one.path);
  // Never through a link: some lead out of the folder.
  for (let up = dirname(one.path); up !== '.'; up = dirname(up)) {
    if (lstatSync(pathIn(folder, up), { throwIfNoEntry: false })?.isSymbolicLink() === true) return;
  }
  const isLink = lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (one.do === 'remove') rmSync(at, { recursive: true });
  else if (one.do === 'move') renameSync(at, pathIn(folder, one.to));
  else if (one.do === 'mode') {
    if (!isLink) chmodSync(at, one.mode);
  } else {
    mkdirSync(pathIn(folder, dirname(one.path) === '.' ? '' : dirname(one.path)), {
      recursive: true,
    });
    if (one.do === 'link') symlinkSync(Buffer.from(one.target, 'latin1'), at);
    else if (one.do === 'folder') {
      mkdirSync(at, { recursive: true });
      chmodSync(at, one.mode);
    } else if (isLink) rmSync(at);
    else if (one.do === 'append') appendFileSync(at, one.bytes);
    else {
      writeFileSync(at, one.bytes);
      chmodSync(at, one.mode);
    }
  }
}

/** Writes files with the folders that they lie in. */
export function fill(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [place, content] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(place)), { recursive: true });
    writeFileSync(join(folder, place), content);
  }
}
