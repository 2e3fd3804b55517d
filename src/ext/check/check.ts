/**
 * The offline gate: what of a bundle would not work on a server, found from the bundle's bytes and the
 * server's facts alone, before anything is written anywhere. Pure: no file is read, no code is run.
 */
import { createHash } from 'node:crypto';
import type { InstalledExtension } from '../deployment-types.ts';
import type { Bundle, ExtFinding, ServerFacts } from '../types.ts';
import { checkExtensions, type CatalogueFunction } from './extensions.ts';
import { checkLibraries } from './libraries.ts';
import { checkMinor } from './server-minor.ts';

export type { CatalogueFunction } from './extensions.ts';

export interface CheckOptions {
  /** What databases of the server have now. Without it updates are not looked at. */
  readonly installed?: readonly InstalledExtension[];
  /** C functions that those databases have; without them the scripts of the bundle say it. */
  readonly catalogueFunctions?: readonly CatalogueFunction[];
  /** Paths of the bundle whose namesakes on the server are older ones of it: no clash. */
  readonly replaced?: readonly string[];
}

/** What a bundle has beside the files that its metadata list. */
const unlisted: ReadonlySet<string> = new Set(['metadata.json', 'provenance.dsse.json']);
const byLevel = { refuse: 0, warn: 1, note: 2 };

/** All that is to be said, refusals first. A bundle without a refusal may be staged. */
export function checkBundle(
  bundle: Bundle,
  facts: ServerFacts,
  options: CheckOptions = {},
): readonly ExtFinding[] {
  const { installed = [], catalogueFunctions, replaced = [] } = options;
  const { libraries, withMagic, findings } = checkLibraries(bundle, facts);
  const context = { bundle, facts, libraries, withMagic, installed };
  const all = [
    ...checkTarget(bundle, facts),
    ...checkContent(bundle),
    ...findings,
    ...checkExtensions(
      catalogueFunctions === undefined ? context : { ...context, catalogueFunctions },
    ),
    ...checkMinor(bundle.metadata.target, facts, libraries),
    ...checkNames(bundle, facts, new Set(replaced)),
  ];
  return all.toSorted((left, right) => byLevel[left.level] - byLevel[right.level]);
}

/** What the metadata say; a bundle of SQL alone has nothing else to say it. */
function checkTarget({ metadata }: Bundle, facts: ServerFacts): readonly ExtFinding[] {
  const findings: ExtFinding[] = [];
  const file = 'metadata.json';
  const { major, architecture } = metadata.target;
  if (major !== facts.major) {
    const message = `The bundle is for PostgreSQL ${major}, the server is ${facts.version}.`;
    const remedy = `Build it against a package of PostgreSQL ${facts.major}.`;
    findings.push({ level: 'refuse', rule: 'wrong-major', message, remedy, file });
  }
  if (architecture !== facts.architecture) {
    const message = `The bundle is for ${architecture}, the server for ${facts.architecture}.`;
    const remedy = 'Build it against the package of this server.';
    findings.push({ level: 'refuse', rule: 'wrong-architecture', message, remedy, file });
  }
  return findings;
}

/** Each file is the listed one, and none is there that is not listed. */
function checkContent({ files, metadata }: Bundle): readonly ExtFinding[] {
  const findings: ExtFinding[] = [];
  const listed = new Set(metadata.files.map(({ path }) => path));
  for (const { path, sha256 } of metadata.files) {
    const bytes = files.get(path);
    const is = bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
    if (is === undefined)
      findings.push(changed(path, `${path} is listed, but is not in the bundle.`));
    else if (is !== sha256) {
      findings.push(changed(path, `${path} has the hash ${is}, where the metadata say ${sha256}.`));
    }
  }
  for (const path of files.keys()) {
    if (listed.has(path) || unlisted.has(path)) continue;
    findings.push(changed(path, `${path} is in the bundle, but its metadata do not list it.`));
  }
  for (const path of metadata.smoke.filter((smoke) => !files.has(smoke))) {
    findings.push(changed(path, `${path} is named as a proof, but is not in the bundle.`));
  }
  return findings;
}

function changed(file: string, message: string): ExtFinding {
  return {
    level: 'refuse',
    rule: 'hash-mismatch',
    message,
    remedy: 'Fetch the bundle again, or build it again: it was changed after it was made.',
    file,
  };
}

/** A file of the same name belongs to something else, unless whoever plans knows that it is replaced. */
function checkNames(
  { files }: Bundle,
  facts: ServerFacts,
  replaced: ReadonlySet<string>,
): readonly ExtFinding[] {
  const there = new Set([
    ...facts.libraryFiles.map((name) => `lib/${name}`),
    ...facts.extensionFiles.map((name) => `extension/${name}`),
  ]);
  const { libraryFolder, extensionFolder } = facts.paths;
  return [...files.keys()]
    .filter((path) => there.has(path) && !replaced.has(path))
    .map((file) => ({
      level: 'refuse',
      rule: 'name-clash',
      message: `${file} is on the server already, in ${file.startsWith('lib/') ? libraryFolder : extensionFolder}.`,
      remedy:
        'Deploy it as the next release of that extension, or remove the package that it is from.',
      file,
    }));
}
