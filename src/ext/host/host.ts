/** A machine that extensions are deployed on: this one, or another one over SSH. */

export interface RunOptions {
  /** `$1` and on of the script. Nothing in them is read by a shell. */
  readonly args?: readonly string[];
  readonly input?: Uint8Array | string;
  readonly signal?: AbortSignal;
  /** 60,000 by default. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  readonly exit: number;
  readonly stdout: Buffer;
  /** Lines for people: never parsed, never mixed with stdout. */
  readonly stderr: string;
}

/** A way to a socket of the target, open until it is closed. */
export interface Forward {
  /** For `pg`: a folder of a unix socket with its port, or 127.0.0.1 with a port. */
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Runs POSIX sh on the target, which needs nothing but sh, tar, sha256sum and the coreutils.
 * Each throws `target_unreachable` when the connection is not there or breaks, and `timeout`.
 */
export interface Host {
  /** `local`, or `ssh://user@host:port`. */
  readonly name: string;
  /** Runs the script, whatever it comes to. */
  run(script: string, options?: RunOptions): Promise<RunResult>;
  /** As `run`, but throws `ext_failed` with the last words of stderr unless it exits with 0. */
  check(script: string, options?: RunOptions): Promise<Buffer>;
  /** Throws `not_found`, or `denied`. */
  readFile(path: string): Promise<Buffer>;
  /** To a unix socket's folder (`/var/run/postgresql`) or a host of the target's network, and its port. */
  forward(to: { readonly host: string; readonly port: number }): Promise<Forward>;
  close(): Promise<void>;
}
