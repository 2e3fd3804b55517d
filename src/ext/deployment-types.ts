/** The words of a deployment: the server as it is now, the plan, the journal. */
import type { ExtFinding, FileEntry, Metadata, ServerFacts, ServerPaths } from './types.ts';

/** How SQL reaches the server: from the target's own point of view, also over SSH. */
export interface ServerAddress {
  /** A folder of a unix socket (begins with `/`), or a name or address that the target can reach. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Never logged, never in argv. */
  readonly password?: string;
  /** The database that deployments are recorded in, and that is asked what cannot be asked of all. */
  readonly database: string;
}

/** What is to be brought where, by name. */
export interface TargetOptions {
  /** This machine unless given: `user@host`, `user@host:port`, or a name of ssh's configuration. */
  readonly host?: string;
  readonly address: ServerAddress;
  /** On the target; by default what the running server says. */
  readonly pgConfig?: string;
  /** On the target. */
  readonly stagingFolder: string;
}

export const defaultStagingFolder = '/opt/libraries/postgresql';

/** An extension as one database has it. */
export interface InstalledExtension {
  readonly database: string;
  readonly name: string;
  readonly version: string;
}

/** A backend that still runs code of an older release; `pid` is the target's. */
export interface StaleBackend {
  readonly pid: number;
  readonly user?: string;
  readonly database?: string;
  /** `client backend`, `autovacuum worker` and so on; `postmaster` for the server itself. */
  readonly kind: string;
  /** The libraries that it has mapped, as the kernel names them. */
  readonly libraries: readonly string[];
  readonly since?: string;
}

/** What cannot be looked up says why, and is not taken for nothing. */
export type Known<T> = { readonly value: T } | { readonly unavailable: string };

/** A streaming standby that replays what a primary does. */
export interface Standby {
  readonly name: string;
  readonly address?: string;
  readonly state: string;
}

/** The running server and its databases, at one moment. */
export interface ServerState {
  readonly versionNumber: number;
  readonly startedAt: string;
  readonly isStandby: boolean;
  readonly standbys: readonly Standby[];
  /** Of `shared_preload_libraries`, without `$libdir/` and `.so`. */
  readonly preloaded: readonly string[];
  /** Databases that take connections and are no templates, by name. */
  readonly databases: readonly string[];
  readonly installed: readonly InstalledExtension[];
}

/** What a name in the folders of the server is now. */
export interface LiveFile {
  /** As in a bundle: `lib/vector.so`. */
  readonly path: string;
  /** Absolute, on the target. */
  readonly target: string;
  readonly kind: 'absent' | 'file' | 'link' | 'other';
  /** Of the content that a reader gets; absent where there is none, as behind a dangling link. */
  readonly sha256?: string;
  readonly sizeBytes?: number;
  /** Where a link points, as it is written. */
  readonly link?: string;
  /** Permission bits and owner, to put back a file as it was: `644 0 0`. */
  readonly mode?: string;
}

/** What is to be done to one extension of one database. */
export interface CatalogueStep {
  readonly database: string;
  readonly extension: string;
  readonly action: 'create' | 'update' | 'none';
  /** Absent for `create`. */
  readonly from?: string;
  readonly to: string;
  /** The versions that the way back goes through, `to` first, `from` last; absent when there is none. */
  readonly back?: readonly string[];
}

/** The steps of a deployment, in their order. A journal names them. */
export const stepNames = [
  'begin',
  'stage',
  'rehearse',
  'adopt',
  'link',
  'switch',
  'prune',
  'restart',
  'catalogue',
  'verify',
  'end',
] as const;
export type StepName = (typeof stepNames)[number];

/** All that will be done, known before anything is written. */
export interface Plan {
  /** UUIDv7; the journal of the deployment carries it. */
  readonly id: string;
  readonly host: string;
  readonly server: {
    readonly version: string;
    readonly libraryFolder: string;
    /** Where its files are, for a rollback while it does not run. */
    readonly paths: ServerPaths;
  };
  readonly stagingFolder: string;
  readonly bundle: Pick<Metadata, 'name' | 'version' | 'extensions'>;
  /** Names of folders below `releases/`; `from` is absent where no release of this bundle is live. */
  readonly release: string;
  readonly from?: string;
  /** Regular files that are there already, with the same names: kept as a release of their own. */
  readonly adopted: readonly LiveFile[];
  /** Names that appear, change their content, go away. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly catalogue: readonly CatalogueStep[];
  /** Preloaded libraries of the bundle: the server must be restarted before its catalogue is updated. */
  readonly needsRestart: readonly string[];
  /** Catalogue steps without a way back. */
  readonly oneWay: readonly CatalogueStep[];
  readonly stale: Known<readonly StaleBackend[]>;
  readonly findings: readonly ExtFinding[];
}

/** The state of a deployment, derived from its journal. */
export type DeploymentState =
  | 'running'
  | 'unfinished'
  | 'waiting_for_restart'
  | 'deployed'
  | 'rolled_back'
  | 'rollback_failed';

/** One line of a journal (JSON lines, appended and flushed before and after each step). */
export interface JournalLine {
  readonly at: string;
  readonly step: StepName | 'rollback';
  readonly event: 'begins' | 'ends' | 'fails';
  /** Of `begin`: the plan. Of failures: `message`. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A release whose files are the ones that its metadata lists, or not. */
export interface Drift {
  readonly path: string;
  readonly kind: 'changed' | 'missing' | 'replaced' | 'foreign';
  readonly message: string;
  readonly expected?: FileEntry;
}

export interface BundleStatus {
  readonly name: string;
  readonly release: string;
  readonly metadata: Metadata;
  readonly drift: readonly Drift[];
  readonly installed: readonly (InstalledExtension & { readonly offered: string })[];
  readonly stale: Known<readonly StaleBackend[]>;
}

export interface ExtStatus {
  readonly host: string;
  readonly server: Pick<ServerFacts, 'version' | 'architecture' | 'paths'>;
  readonly bundles: readonly BundleStatus[];
  readonly deployments: readonly {
    readonly id: string;
    readonly bundle: string;
    readonly release: string;
    readonly state: DeploymentState;
    readonly at: string;
    readonly lastStep: StepName | 'rollback';
  }[];
  readonly findings: readonly ExtFinding[];
}
