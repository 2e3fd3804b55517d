/**
 * PGlite in the data folder, and the one way statements reach it.
 *
 * Durability. PGlite as it comes runs with fsync off (`-F`), and its Node file system has no fsync
 * at all: a commit survives the death of the process, since the pages are in the operating system's
 * cache, but not that of the machine. Here fsync is on and reaches the disk: PostgreSQL is started
 * without `-F`, with `wal_sync_method=fsync` (the one call that Emscripten passes on), and the file
 * system is given the operation it lacks. One commit is one fsync of the log.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { PGlite, protocol, type messages } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { vector } from '@electric-sql/pglite-pgvector';
import { AppError } from '../base/base.ts';
import { isServerError } from './failure.ts';
import type { Sql } from './sql.ts';
import { encodeParameters, parserOf, type Parse } from './values.ts';

type EmscriptenOptions = Parameters<NodeFS['init']>[1];
type BackendMessage = Awaited<ReturnType<PGlite['execProtocolStream']>>[number];

/** The part of Emscripten's NODEFS that an fsync needs. */
interface NodeFsOperations {
  readonly stream_ops: { fsync?: (stream: { nfd?: number; node: unknown }) => number };
  realPath(node: unknown): string;
}

function addFsync(module: { FS: unknown }): void {
  const { filesystems } = module.FS as { filesystems: { NODEFS: NodeFsOperations } };
  const nodefs = filesystems.NODEFS;
  nodefs.stream_ops.fsync = ({ nfd, node }) => {
    // Folders have no descriptor of their own in NODEFS.
    const descriptor = nfd ?? openSync(nodefs.realPath(node), 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      if (nfd === undefined) closeSync(descriptor);
    }
    return 0;
  };
}

/** PGlite's Node file system with an fsync. */
class DurableNodeFS extends NodeFS {
  override async init(
    pg: PGlite,
    options: EmscriptenOptions,
  ): Promise<{ emscriptenOpts: EmscriptenOptions }> {
    const { emscriptenOpts } = await super.init(pg, options);
    return {
      emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), addFsync] },
    };
  }
}

const startParams = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  '-c',
  'wal_sync_method=fsync',
];

/** Opens or creates the database in `folder`. Throws `database_unsupported` or `home_unusable`. */
export async function startEngine(folder: string): Promise<Engine> {
  const said: string[] = [];
  try {
    const pglite = await PGlite.create({
      fs: new DurableNodeFS(folder),
      extensions: { vector },
      startParams,
      // PostgreSQL tells why it does not start on its standard error only.
      onStderr: (line: string) => said.push(line) < 0,
    });
    const engine = new Engine(pglite);
    await engine.script("set timezone = 'UTC'; create extension if not exists vector");
    return engine;
  } catch (cause) {
    throw startFailure(folder, said, cause);
  }
}

function startFailure(folder: string, said: readonly string[], cause: unknown): AppError {
  const text = said.join('\n');
  const why = said.findLast((line) => /FATAL|PANIC|DETAIL/.test(line));
  if (/incompatible with server|not compatible with this version|not.*compatible/.test(text)) {
    return new AppError('database_unsupported', `${folder} belongs to another PostgreSQL`, {
      details: { folder, said: why },
      remedy: 'Use the Centuria that wrote it, or name another folder with --home.',
      cause,
    });
  }
  return new AppError('home_unusable', `the database in ${folder} does not start`, {
    details: { folder, ...(why === undefined ? {} : { said: why }) },
    remedy: 'Restore the folder from a backup, or name another with --home.',
    cause,
  });
}

const { serialize } = protocol;
const sync = serialize.sync();
const describePortal = serialize.describe({ type: 'P' });
const execute = serialize.execute({});

/**
 * One PostgreSQL connection over PGlite's protocol door. Every call runs to its end before it
 * returns, so calls never interleave; whoever needs several in a row must keep others out.
 * Statements stay prepared by name and go over in one message, which measured 1.5 to 3.5 times the
 * statements a second of `PGlite.query`.
 */
export class Engine {
  readonly #pglite: PGlite;
  readonly #prepared = new Set<string>();

  constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  async query<Row>(statement: Sql<Row>): Promise<Row[]> {
    const values = encodeParameters(statement);
    if (!this.#prepared.has(statement.name)) {
      const { name, text } = statement;
      // Closing one that does not exist is no error; a forgotten one still does.
      await this.#send([
        serialize.close({ type: 'S', name }),
        serialize.parse({ name, text }),
        sync,
      ]);
      this.#prepared.add(statement.name);
    }
    const bind = serialize.bind({ statement: statement.name, values });
    const answer = await this.#send([bind, describePortal, execute, sync]);
    return readRows(answer) as Row[];
  }

  /** Runs several statements; gives the command tag of the last one. */
  async script(text: string): Promise<string> {
    const answer = await this.#send([serialize.query(text)]);
    const last = answer.findLast((message) => message.name === 'commandComplete');
    return (last as messages.CommandCompleteMessage | undefined)?.text ?? '';
  }

  /** Prepares every statement anew: tables have changed under them. */
  forgetStatements(): void {
    this.#prepared.clear();
  }

  onNotification(listener: (channel: string, payload: string) => void): void {
    this.#pglite.onNotification(listener);
  }

  close(): Promise<void> {
    return this.#pglite.close();
  }

  #send(parts: readonly Uint8Array[]): Promise<BackendMessage[]> {
    const message = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
    return this.#pglite.execProtocolStream(message, { syncToFs: false });
  }
}

function readRows(answer: readonly BackendMessage[]): Record<string, unknown>[] {
  const rows: Record<string, unknown>[] = [];
  let names: string[] = [];
  let parsers: Parse[] = [];
  for (const message of answer) {
    if (message.name === 'rowDescription') {
      const { fields } = message as messages.RowDescriptionMessage;
      names = fields.map((field) => field.name);
      parsers = fields.map((field) => parserOf(field.dataTypeID));
    } else if (message.name === 'dataRow') {
      rows.push(readRow((message as messages.DataRowMessage).fields, names, parsers));
    }
  }
  return rows;
}

function readRow(
  fields: readonly (string | null)[],
  names: readonly string[],
  parsers: readonly Parse[],
): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [index, name] of names.entries()) {
    const field = fields[index] ?? null;
    row[name] = field === null ? null : parsers[index]?.(field);
  }
  return row;
}

/** Whether the engine itself has died, as opposed to a statement that failed. */
export function isEngineDeath(error: unknown): boolean {
  return !(error instanceof AppError) && !isServerError(error);
}
