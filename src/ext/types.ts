/** The words of the pipeline: what a server is, what is built for it, what is laid out and switched on it. */

export const architectures = ['x86_64', 'aarch64'] as const;
export type Architecture = (typeof architectures)[number];

/** `Pg_magic_struct` of PostgreSQL's fmgr.h: a server loads only libraries that agree with its own. */
export interface Magic {
  /** The size of the structure in bytes: 28 for 12, 24 for 13 and 14, 56 from 15 to 17, 72 from 18. */
  readonly sizeBytes: number;
  /** The major version: 17 (17.x says 1700, and 12 says 1200). */
  readonly major: number;
  readonly funcMaxArgs: number;
  readonly indexMaxKeys: number;
  readonly nameDataLength: number;
  readonly float8ByValue: boolean;
  /** `PostgreSQL` in a server as published; empty before 15. */
  readonly abiExtra: string;
  /** From 18, where the library says them (`PG_MODULE_MAGIC_EXT`). */
  readonly name?: string;
  readonly version?: string;
}

/** What a shared library or program says of itself, read without running it. */
export interface ElfFacts {
  readonly architecture: Architecture;
  readonly soname?: string;
  /** DT_NEEDED, in their order. */
  readonly needed: readonly string[];
  /** Where the loader looks first: DT_RPATH and DT_RUNPATH, `$ORIGIN` kept as it is. */
  readonly searchPaths: readonly string[];
  /** Names that others may use. */
  readonly defined: ReadonlySet<string>;
  /** Names that must come from elsewhere; weak ones are left out. */
  readonly undefined: ReadonlySet<string>;
  /** Of the undefined ones: those that carry a version, and the library that they are demanded of. */
  readonly versioned: ReadonlyMap<string, string>;
  /** Versions demanded of libraries, as `libc.so.6` to `GLIBC_2.34`: the highest of each family. */
  readonly versions: ReadonlyMap<string, readonly string[]>;
  /** GNU build id, lower-case hexadecimal. */
  readonly buildId?: string;
}

/** Folders of a server, absolute, as it reports them itself. */
export interface ServerPaths {
  readonly binFolder: string;
  /** pkglibdir: where `$libdir` points. */
  readonly libraryFolder: string;
  /** SHAREDIR/extension. */
  readonly extensionFolder: string;
  readonly shareFolder: string;
}

/** All that the offline gate has to know of a server. Plain data: it travels inside a package. */
export interface ServerFacts {
  readonly format: 1;
  /** As `server_version_num`: 170006 is 17.6. */
  readonly versionNumber: number;
  /** As people say it: `17.6`. */
  readonly version: string;
  readonly major: number;
  readonly architecture: Architecture;
  /** The highest version of glibc that the server's machine has, `2.36`; absent where it is none (musl). */
  readonly glibc?: string;
  /** Of the server's own plpgsql.so, which was built with it. */
  readonly magic: Magic;
  readonly paths: ServerPaths;
  /** Of the `postgres` program, lower-case hexadecimal. */
  readonly serverSha256: string;
  /** What `postgres` offers to libraries, sorted. */
  readonly exportedSymbols: readonly string[];
  /** Names that the loader of that machine finds (`libm.so.6`), sorted. */
  readonly libraries: readonly string[];
  /** File names in libraryFolder and extensionFolder at that moment, sorted. */
  readonly libraryFiles: readonly string[];
  readonly extensionFiles: readonly string[];
  /** Of `pg_config`: `CONFIGURE`, `CC`, `CFLAGS` and the rest, by name. */
  readonly config: Readonly<Record<string, string>>;
  /** Where they were read: `local`, `ssh://db1`, `debian:postgresql-server-dev-17=17.6-1`. */
  readonly origin: string;
}

/** One file of a bundle or a release. Paths are relative, with `/`: `lib/vector.so`, `extension/vector.control`. */
export interface FileEntry {
  readonly path: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** One extension of a bundle. */
export interface ExtensionEntry {
  readonly name: string;
  /** `default_version` of its control file. */
  readonly version: string;
}

/** `metadata.json` of a bundle, and of the release that it becomes. */
export interface Metadata {
  readonly format: 1;
  /** The name of the bundle: that of its extension, or the one given where it has several. */
  readonly name: string;
  /** The version of its first extension. */
  readonly version: string;
  /** RFC 3339, UTC; the newest time among the sources, so that the same sources give the same bytes. */
  readonly builtAt: string;
  readonly compiler: string;
  readonly target: {
    readonly major: number;
    /** The version of the headers that it was built against, `17.6`. */
    readonly version: string;
    readonly architecture: Architecture;
    /** The highest `GLIBC_x.y` that its libraries demand; absent when they demand none. */
    readonly glibc?: string;
  };
  readonly extensions: readonly ExtensionEntry[];
  /** All but metadata.json itself and the provenance, sorted by path. */
  readonly files: readonly FileEntry[];
  /** SQL that proves that it works, run in a transaction that is rolled back: paths such as `smoke/vector.sql`. */
  readonly smoke: readonly string[];
  /** A library that several of its libraries share, with the hash in its SONAME; absent when there is none. */
  readonly wrapper?: string;
}

/** A bundle that was read and is as it says: each file has the hash of its metadata. */
export interface Bundle {
  readonly metadata: Metadata;
  /** SHA-256 of the canonical metadata, lower-case hexadecimal: the address of the content. */
  readonly digest: string;
  /** By path, metadata.json and `provenance.dsse.json` among them. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Who signed the provenance, when a trusted key did. */
  readonly signedBy?: string;
}

/** What the gate, a plan or a status has to say. `refuse` stops a deployment before its first write. */
export interface ExtFinding {
  readonly level: 'refuse' | 'warn' | 'note';
  /** Stable, such as `wrong-major`, `missing-symbol`, `glibc-too-new`. */
  readonly rule: string;
  readonly message: string;
  /** What would put it right. */
  readonly remedy?: string;
  /** Path in the bundle or on the target. */
  readonly file?: string;
  /** From 1, in text files. */
  readonly line?: number;
}
