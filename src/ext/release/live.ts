/** The files that the server sees, and bringing them from one release to another. */
import type { LiveFile } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import { linkText, targetOf, type Layout } from './layout.ts';
import type { Operation } from './operations.ts';

/** One pass of each program over all names: a process a file would take seconds over a slow line. */
const lookScript = `stat -Lc '%s	%n' -- "$@" 2>/dev/null
echo --
stat -c '%F	%a %u %g	%n' -- "$@" 2>/dev/null
echo --
sha256sum -b -- "$@" 2>/dev/null
echo --
for name; do
  if [ -L "$name" ]; then printf '%s\\t%s\\n' "$name" "$(readlink "$name")"; fi
done
exit 0`;

/** What is there now under these paths of a bundle, in their order. */
export async function lookAt(
  host: Host,
  layout: Layout,
  paths: readonly string[],
): Promise<LiveFile[]> {
  const named = paths.flatMap((path) => {
    const target = targetOf(layout, path);
    return target === undefined ? [] : [{ path, target }];
  });
  if (named.length === 0) return [];
  const text = await host.check(lookScript, { args: named.map(({ target }) => target) });
  const [contents = '', stats = '', sums = '', links = ''] = text.toString().split('--\n');
  const sizes = new Map(
    lines(contents).map((line): [string, number] => {
      const [size, name = ''] = line.split('\t');
      return [name, Number(size)];
    }),
  );
  const kinds = new Map<string, { type: string; mode: string }>();
  for (const line of lines(stats)) {
    const [type = '', mode = '', name = ''] = line.split('\t');
    kinds.set(name, { type, mode });
  }
  const hashes = new Map(lines(sums).map((line) => [line.slice(66), line.slice(0, 64)]));
  const texts = new Map(
    lines(links).map((line): [string, string] => {
      const [name = '', link = ''] = line.split('\t');
      return [name, link];
    }),
  );
  return named.map(({ path, target }): LiveFile => {
    const found = kinds.get(target);
    if (found === undefined) return { path, target, kind: 'absent' };
    const sha256 = hashes.get(target);
    const link = texts.get(target);
    const sizeBytes = sizes.get(target);
    const isFile = found.type === 'regular file' || found.type === 'regular empty file';
    return {
      path,
      target,
      kind: link !== undefined ? 'link' : isFile ? 'file' : 'other',
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      ...(link === undefined ? {} : { link }),
      mode: found.mode,
    };
  });
}

/** All names of these extensions in the server's folders, whoever put them there. */
export async function namesOf(
  host: Host,
  layout: Layout,
  extensions: readonly string[],
): Promise<string[]> {
  const { extensionFolder } = layout.paths;
  const listed = await host.check('ls -1A -- "$1"', { args: [extensionFolder] });
  return lines(listed.toString())
    .filter((name) =>
      extensions.some(
        (extension) =>
          name === `${extension}.control` ||
          (name.startsWith(`${extension}--`) && /\.(?:sql|control)$/.test(name)),
      ),
    )
    .map((name) => `extension/${name}`);
}

/** What a bundle was before a deployment and is to be after it: a release, or what was there without one. */
export interface Side {
  /** The folder's name below `releases/`; absent when the bundle has no release on this side. */
  readonly release?: string;
  readonly paths: readonly string[];
}

/**
 * What brings a bundle from one release to another. The names that are new first, which dangle for a
 * moment; then one rename, after which every name gives the other release's file; then those that went.
 */
export function moves(
  layout: Layout,
  bundle: string,
  from: Side,
  to: Side,
): {
  readonly link: readonly Operation[];
  readonly change: readonly Operation[];
  readonly prune: readonly Operation[];
} {
  const linked = (path: string): { target: string; text: string } => ({
    target: targetOf(layout, path) ?? '',
    text: linkText(layout, bundle, path),
  });
  const here = new Set(to.paths);
  const pointer = `${layout.current}/${bundle}`;
  return {
    link: to.paths.map((path): Operation => ({ verb: 'link', ...linked(path) })),
    change:
      to.release === undefined
        ? [{ verb: 'unlink', target: pointer, text: releaseText(from.release ?? '') }]
        : [{ verb: 'link', target: pointer, text: releaseText(to.release) }],
    prune: from.paths
      .filter((path) => !here.has(path))
      .map((path): Operation => ({ verb: 'unlink', ...linked(path) })),
  };
}

/** Replaces files that are there by links to the same content, or the other way round. */
export function adoption(
  layout: Layout,
  bundle: string,
  release: string,
  adopted: readonly LiveFile[],
): { readonly take: readonly Operation[]; readonly giveBack: readonly Operation[] } {
  return {
    take: [
      { verb: 'link', target: `${layout.current}/${bundle}`, text: releaseText(release) },
      ...adopted.map(({ path, target }): Operation => ({
        verb: 'link',
        target,
        text: linkText(layout, bundle, path),
      })),
    ],
    giveBack: adopted
      // Links of ours say the same before and after.
      .filter(({ path, link }) => link !== linkText(layout, bundle, path))
      .map(({ path, target, link, mode = '644 0 0' }): Operation =>
        link === undefined
          ? { verb: 'file', target, text: `${layout.releases}/${release}/${path}`, mode }
          : { verb: 'link', target, text: link },
      ),
  };
}

/** What `current/BUNDLE` says. */
export function releaseText(release: string): string {
  return `../releases/${release}`;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
