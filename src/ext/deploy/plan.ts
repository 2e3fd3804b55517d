/** What a deployment would do: put together from what the target says, without writing anything. */
import { newId, type Clock } from '../../base/base.ts';
import { checkBundle } from '../check/check.ts';
import type {
  CatalogueStep,
  Known,
  LiveFile,
  Plan,
  ServerState,
  StaleBackend,
} from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import { linkText, livePaths, releaseName, targetOf, type Layout } from '../release/layout.ts';
import { lookAt, namesOf } from '../release/live.ts';
import { listReleases, readMetadata } from '../release/store.ts';
import type { Bundle, ExtFinding, Metadata, ServerFacts } from '../types.ts';

export interface PlanOptions {
  /** Keeps files that are there already, by hand or by a package manager, and replaces them. */
  readonly adopt: boolean;
  /** Goes on with catalogue updates that have no way back. */
  readonly acceptOneWay: boolean;
  /** Says that the standbys have the files already. */
  readonly acceptStandbys: boolean;
  /** Whether a restart of the server can be waited for. */
  readonly mayRestart: boolean;
}

/** What the target says, at one moment. */
export interface Seen {
  readonly facts: ServerFacts;
  readonly state: ServerState;
  readonly live: readonly LiveFile[];
  /** Names of the bundle's extensions that are in the server's folders and not in the bundle. */
  readonly others: readonly LiveFile[];
  readonly from?: { readonly release: string; readonly metadata: Metadata };
  /** The live release, when its folder is gone and all links lead nowhere. */
  readonly lost?: string;
  readonly catalogue: readonly CatalogueStep[];
  readonly catalogueFunctions: readonly { readonly library: string; readonly symbol: string }[];
  readonly stale: Known<readonly StaleBackend[]>;
  readonly room: Room;
}

/** Whether the folders that are written to can be. */
export interface Room {
  readonly freeBytes: number;
  /** Those that this user can't write to, with the reason. */
  readonly refused: readonly { readonly folder: string; readonly why: string }[];
}

/** Looks at the files of a bundle on the target, and at what was deployed before. */
export async function seeFiles(
  host: Host,
  layout: Layout,
  bundle: Bundle,
): Promise<Pick<Seen, 'live' | 'others' | 'from' | 'lost' | 'room'>> {
  const { metadata } = bundle;
  const names = metadata.extensions.map(({ name }) => name);
  const own = livePaths(layout, metadata);
  const { current, releases } = await listReleases(host, layout);
  const release = current.get(metadata.name);
  const isThere = release !== undefined && releases.includes(release);
  // Laid out again it is whole again, and there is nothing to go back to but itself.
  const isMended = release === releaseName(metadata, bundle.digest);
  const from = isThere
    ? { release, metadata: await readMetadata(host, layout, release) }
    : isMended
      ? { release, metadata }
      : undefined;
  const before = from === undefined ? [] : livePaths(layout, from.metadata);
  const known = new Set(own);
  const rest = [...new Set([...before, ...(await namesOf(host, layout, names))])].filter(
    (path) => !known.has(path),
  );
  const looked = await lookAt(host, layout, [...own, ...rest]);
  return {
    live: looked.slice(0, own.length),
    others: looked.slice(own.length).filter(({ kind }) => kind !== 'absent'),
    ...(from === undefined ? {} : { from }),
    ...(release === undefined || isThere ? {} : { lost: release }),
    room: await roomOf(host, layout),
  };
}

/** The plan, with every reason for which it must not be carried out. */
export function composePlan(
  bundle: Bundle,
  seen: Seen,
  at: { readonly host: Host; readonly layout: Layout; readonly clock: Clock },
  options: PlanOptions,
): Plan {
  const { metadata } = bundle;
  const { facts, state, from, catalogue } = seen;
  const { layout } = at;
  const present = [...seen.live, ...seen.others].filter(({ kind }) => kind !== 'absent');
  const isOurs = (file: LiveFile): boolean =>
    file.kind === 'link' && file.link === linkText(layout, metadata.name, file.path);
  const strangers = present.filter((file) => !isOurs(file));
  const wanted = new Map(metadata.files.map(({ path, sha256 }) => [path, sha256]));
  const added = seen.live.filter(({ kind }) => kind === 'absent').map(({ path }) => path);
  const changed = seen.live
    .filter(({ kind, path, sha256 }) => kind !== 'absent' && sha256 !== wanted.get(path))
    .map(({ path }) => path);
  const oneWay = catalogue.filter(({ action, back }) => action === 'update' && back === undefined);
  const replaced = new Set([...added, ...changed]);
  const needsRestart = state.preloaded.filter((name) => replaced.has(`lib/${name}.so`));
  const gate = checkBundle(bundle, facts, {
    installed: state.installed,
    catalogueFunctions: seen.catalogueFunctions,
    // Whether a name is taken is said below, where it is known whose it is.
  }).filter(({ rule }) => rule !== 'name-clash');
  return {
    id: newId(at.clock),
    host: at.host.name,
    server: {
      version: facts.version,
      libraryFolder: facts.paths.libraryFolder,
      paths: facts.paths,
    },
    stagingFolder: layout.folder.replace(/\/\d+$/, ''),
    bundle: { name: metadata.name, version: metadata.version, extensions: metadata.extensions },
    release: releaseName(metadata, bundle.digest),
    ...(from === undefined ? {} : { from: from.release }),
    // All that is there, so that going back gives back each as it was: links of ours among them.
    adopted: strangers.length === 0 ? [] : present,
    added,
    changed,
    removed: seen.others.map(({ path }) => path),
    catalogue,
    needsRestart,
    oneWay,
    stale: seen.stale,
    findings: [
      ...gate,
      ...nestedFiles(layout, metadata),
      ...strangerFindings(strangers, from !== undefined, options),
      ...lostFindings(seen.lost),
      ...roomFindings(seen.room, bundle),
      ...oneWay.map((step) => oneWayFinding(step, options)),
      ...restartFindings(needsRestart, options),
      ...standbyFindings(state, catalogue, options),
    ],
  };
}

function nestedFiles(layout: Layout, { files }: Metadata): ExtFinding[] {
  return files
    .filter(({ path }) => /^(?:lib|extension)\//.test(path) && targetOf(layout, path) === undefined)
    .map(({ path }) => ({
      level: 'refuse',
      rule: 'nested-file',
      file: path,
      message: `${path} lies in a folder below the server's own, which cannot be switched with the rest`,
      remedy:
        "Build it without a `directory` in the control file, so that it lies beside the others'.",
    }));
}

function strangerFindings(
  strangers: readonly LiveFile[],
  isDeployed: boolean,
  { adopt }: PlanOptions,
): ExtFinding[] {
  return strangers.map(({ target, kind, path, link }): ExtFinding => {
    const what = link === undefined ? 'a file' : `a link to ${link}`;
    if (kind === 'other') {
      return {
        level: 'refuse',
        rule: 'name-clash',
        file: path,
        message: `${target} is neither a file nor a link`,
        remedy: 'Move it away.',
      };
    }
    const why = isDeployed
      ? `${target} was a link of the live release and is now ${what}: something else has replaced it, ` +
        'an upgrade of a package for instance'
      : `${target} is there already, ${what} that no release of ours has put there`;
    return {
      level: adopt ? 'note' : 'refuse',
      rule: isDeployed ? 'drift' : 'name-clash',
      file: path,
      message: adopt ? `${why}; it is kept, and a rollback gives it back` : why,
      ...(adopt
        ? {}
        : {
            remedy:
              '--adopt keeps what is there as a release that a rollback gives back. A file of a package ' +
              'manager is better removed with its package, which would write over the link at its next upgrade.',
          }),
    };
  });
}

function lostFindings(release: string | undefined): ExtFinding[] {
  if (release === undefined) return [];
  return [
    {
      level: 'warn',
      rule: 'release-missing',
      message: `${release} is live and its folder is gone, so that a rollback can not lead to it`,
    },
  ];
}

function roomFindings({ freeBytes, refused }: Room, { metadata }: Bundle): ExtFinding[] {
  const findings = refused.map(({ folder, why }): ExtFinding => ({
    level: 'refuse',
    rule: 'not-writable',
    file: folder,
    message: `${folder} can not be written to: ${why}`,
    remedy: 'Deploy as its owner (root, as a rule), or choose another folder with --staging-dir.',
  }));
  const size = metadata.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  // The release, what is adopted, the rehearsal's data folder of some 40 MB.
  const needed = 2 * size + 60_000_000;
  if (freeBytes < needed) {
    findings.push({
      level: 'refuse',
      rule: 'disk-full',
      message: `the staging folder's disk has ${freeBytes} bytes left, ${needed} are wanted`,
      remedy: 'Make room, or name a folder on another disk with --staging-dir.',
    });
  }
  return findings;
}

function oneWayFinding(step: CatalogueStep, { acceptOneWay }: PlanOptions): ExtFinding {
  const { database, extension, from = '', to } = step;
  return {
    level: acceptOneWay ? 'warn' : 'refuse',
    rule: 'one-way',
    message: `${extension} in ${database} can be updated from ${from} to ${to}, but no script leads back`,
    ...(acceptOneWay
      ? {}
      : {
          remedy:
            `Add ${extension}--${to}--${from}.sql to the bundle, or accept it with --one-way: ` +
            'the files can be rolled back afterwards, the catalogue only from a backup.',
        }),
  };
}

function restartFindings(names: readonly string[], { mayRestart }: PlanOptions): ExtFinding[] {
  return names.map((name) => ({
    level: 'warn',
    rule: 'preloaded',
    message:
      `${name} is in shared_preload_libraries: the server runs the old one until it is restarted, ` +
      (mayRestart
        ? 'which is done between the files and the catalogue'
        : 'so the deployment stops after the files, and goes on after the restart with --resume'),
  }));
}

function standbyFindings(
  { isStandby, standbys }: ServerState,
  catalogue: readonly CatalogueStep[],
  { acceptStandbys }: PlanOptions,
): ExtFinding[] {
  if (isStandby) {
    return [
      {
        level: 'note',
        rule: 'standby',
        message: 'the server is a standby: only files are deployed, its catalogue is its primary’s',
      },
    ];
  }
  if (catalogue.every(({ action }) => action === 'none')) return [];
  return standbys.map(({ name, address = 'an unknown address', state }) => ({
    level: acceptStandbys ? 'note' : 'refuse',
    rule: 'standby-first',
    message:
      `${name} at ${address} (${state}) replays this catalogue: without the new files there, ` +
      'its queries fail',
    ...(acceptStandbys
      ? {}
      : {
          remedy: 'Deploy to it first, then here with --standbys-ready.',
        }),
  }));
}

/** Tries nothing out: asks the kernel, as root and as others. */
async function roomOf(host: Host, layout: Layout): Promise<Room> {
  const text = await host.check(
    `nearest() {
  folder=$1
  while [ ! -e "$folder" ]; do folder=\${folder%/*}; [ -n "$folder" ] || folder=/; done
  printf '%s\\n' "$folder"
}
staging=$(nearest "$1")
df -Pk "$staging" | tail -n 1 | { read -r _ _ _ free _; echo "$free"; }
for folder in "$staging" "$2" "$3"; do
  if [ ! -d "$folder" ]; then printf '%s\\tit is no folder\\n' "$folder"
  elif [ ! -w "$folder" ]; then printf '%s\\tread-only, or not this user\\n' "$folder"
  fi
done`,
    { args: [layout.folder, layout.paths.libraryFolder, layout.paths.extensionFolder] },
  );
  const [free = '0', ...refused] = text.toString().trim().split('\n');
  return {
    freeBytes: Number(free) * 1024,
    refused: refused.map((line) => {
      const [folder = '', why = ''] = line.split('\t');
      return { folder, why: why.replace('not this user', "not this user's") };
    }),
  };
}
