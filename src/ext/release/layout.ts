/** Where things lie on the target. */
import { AppError } from '../../base/base.ts';
import type { Metadata, ServerPaths } from '../types.ts';

/** Folders of one server below the staging folder; its releases are for its major version alone. */
export interface Layout {
  /** STAGING/MAJOR */
  readonly folder: string;
  readonly releases: string;
  /** Links by bundle, each to the release that is live. */
  readonly current: string;
  readonly journals: string;
  /** A link to the journal of the deployment under way; whoever can make it may deploy. */
  readonly active: string;
  readonly paths: Pick<ServerPaths, 'libraryFolder' | 'extensionFolder'>;
}

/** Throws `invalid_input` for folders whose names lists of lines cannot carry. */
export function layoutOf(
  stagingFolder: string,
  major: number,
  paths: Pick<ServerPaths, 'libraryFolder' | 'extensionFolder'>,
): Layout {
  for (const path of [stagingFolder, paths.libraryFolder, paths.extensionFolder]) {
    // oxlint-disable-next-line no-control-regex -- these are what is looked for
    if (!path.startsWith('/') || /[\0-\x1f\\]/.test(path)) {
      throw new AppError(
        'invalid_input',
        `${JSON.stringify(path)}: a folder on the target must be an absolute path without ` +
          'control characters and backslashes',
      );
    }
  }
  const folder = `${stagingFolder.replace(/\/+$/, '')}/${major}`;
  return {
    folder,
    releases: `${folder}/releases`,
    current: `${folder}/current`,
    journals: `${folder}/journal`,
    active: `${folder}/active`,
    paths,
  };
}

/** The name of a release's folder: twelve digits of a SHA-256 tell builds of a version apart. */
export function releaseName({ name, version }: Metadata, digest: string): string {
  return `${name}-${version}-${digest.slice(0, 12)}`;
}

/** Where the server looks for a file of a bundle; undefined for those that stay in the release. */
export function targetOf({ paths }: Layout, path: string): string | undefined {
  const [kind, name, ...deeper] = path.split('/');
  if (name === undefined || deeper.length > 0) return undefined;
  if (kind === 'lib') return `${paths.libraryFolder}/${name}`;
  return kind === 'extension' ? `${paths.extensionFolder}/${name}` : undefined;
}

/** What the link of a live file says: through `current`, so that one rename moves all files of a bundle. */
export function linkText({ current }: Layout, bundle: string, path: string): string {
  return `${current}/${bundle}/${path}`;
}

/** Paths of a bundle that the server sees. */
export function livePaths(layout: Layout, { files }: Pick<Metadata, 'files'>): string[] {
  return files.map(({ path }) => path).filter((path) => targetOf(layout, path) !== undefined);
}

/** The libraries of a release by the name that the server knows, with the file behind it. */
export function libraryPaths(layout: Layout, metadata: Metadata): ReadonlyMap<string, string> {
  return new Map(
    livePaths(layout, metadata)
      .filter((path) => path.startsWith('lib/'))
      .map((path) => [targetOf(layout, path) ?? '', linkText(layout, metadata.name, path)]),
  );
}
