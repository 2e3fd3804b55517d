/** A machine with its server, opened for one command. */
import { AppError, type Clock, type Log } from '../../base/base.ts';
import type { Plan, TargetOptions } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import { openHost } from '../host/open-host.ts';
import { readServerFacts } from '../package/facts.ts';
import { layoutOf, libraryPaths, livePaths, type Layout } from '../release/layout.ts';
import { catalogueSteps } from '../server/plan-catalogue.ts';
import { openServer, type TargetServer } from '../server/server.ts';
import type { Bundle, ServerFacts, ServerPaths } from '../types.ts';
import { composePlan, seeFiles, type PlanOptions } from './plan.ts';

export interface Target {
  readonly host: Host;
  readonly server: TargetServer;
  readonly facts: ServerFacts;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly log: Log;
  close(): Promise<void>;
}

/** Opens both; throws `target_unreachable`, `denied`. */
export async function openTarget(
  options: TargetOptions,
  at: {
    readonly clock: Clock;
    readonly log: Log;
    readonly cacheFolder?: string;
    readonly sshOptions?: readonly string[];
    readonly signal?: AbortSignal;
    /**
     * Opens a target whose server does not run, by the folders that the unfinished deployment in its
     * staging folder names: what it has preloaded may keep it from starting.
     */
    readonly mayBeDown?: boolean;
  },
): Promise<Target> {
  const { clock, log, signal } = at;
  const host = await openHost(options.host, at);
  const serverOptions = { clock, log, ...(signal === undefined ? {} : { signal }) };
  try {
    let known: ServerPaths | undefined;
    const server = await openServer(host, options.address, serverOptions).catch(async (error) => {
      if (at.mayBeDown === true && isDown(error)) {
        known = await pathsOfUnfinished(host, options.stagingFolder);
      }
      if (known === undefined) throw error;
      return await openServer(host, options.address, { ...serverOptions, isDown: true });
    });
    try {
      const paths = known ?? (await server.paths());
      const facts = await readServerFacts(
        host,
        options.pgConfig === undefined ? { paths } : { paths, pgConfig: options.pgConfig },
        at,
      );
      return {
        host,
        server,
        facts,
        layout: layoutOf(options.stagingFolder, facts.major, facts.paths),
        clock,
        log,
        async close() {
          await server.close();
          await host.close();
        },
      };
    } catch (error) {
      await server.close();
      throw error;
    }
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** Whether nobody listens there, which is not to say that one was not let in. */
export function isDown(error: unknown): boolean {
  return (
    error instanceof AppError &&
    error.code === 'target_unreachable' &&
    error.details['sqlstate'] === undefined
  );
}

/** Undefined where there is none, or where several servers share the folder and each may be meant. */
async function pathsOfUnfinished(host: Host, staging: string): Promise<ServerPaths | undefined> {
  const listed = await host.check(
    'cd "$1" && for each in */active; do [ -L "$each" ] && cat "$each"; done',
    {
      args: [staging],
    },
  );
  const plans = listed
    .toString()
    .split('\n')
    .filter((line) => line.includes('"step":"begin"'))
    .map((line) => (JSON.parse(line) as { details: { plan: Plan } }).details.plan);
  return plans.length === 1 ? plans[0]?.server.paths : undefined;
}

/** One deployment at a time for all that share a staging folder. */
export function lockName({ layout }: Target): string {
  return `deploy ${layout.folder}`;
}

/** For how long SQL that changes a catalogue may wait and run, where it is said. */
export function limitsOf({
  lockTimeoutMs,
  statementTimeoutMs,
}: {
  readonly lockTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
}): { lockTimeoutMs?: number; statementTimeoutMs?: number } {
  return {
    ...(lockTimeoutMs === undefined ? {} : { lockTimeoutMs }),
    ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
  };
}

export interface CatalogueOptions {
  /** Databases to update; all that have the extension unless given. */
  readonly databases?: readonly string[];
  /** Extensions to create where a database lacks them. */
  readonly create: readonly string[];
}

/** Looks at everything and writes nothing. */
export async function planDeployment(
  target: Target,
  bundle: Bundle,
  options: PlanOptions & CatalogueOptions,
): Promise<Plan> {
  const { host, server, facts, layout, clock } = target;
  const { metadata } = bundle;
  const [state, files] = await Promise.all([server.state(), seeFiles(host, layout, bundle)]);
  const catalogue = catalogueSteps(state, {
    extensions: metadata.extensions,
    fileNames: metadata.files.map(({ path }) => path.replace(/^.*\//, '')),
    ...(options.databases === undefined ? {} : { databases: options.databases }),
    create: options.create,
  });
  const catalogueFunctions = await server.catalogueFunctions(
    metadata.extensions.map(({ name }) => name),
  );
  const stale = await server.stale(libraryPaths(layout, files.from?.metadata ?? metadata));
  return composePlan(
    bundle,
    { facts, state, ...files, catalogue, catalogueFunctions, stale },
    { host, layout, clock },
    options,
  );
}

/** Names of a plan's both sides that the server sees. */
export function sidesOf(
  { layout }: Target,
  plan: Plan,
  after: Bundle['metadata'],
  from: Bundle['metadata'] | undefined,
): { before: string[]; after: string[] } {
  const before =
    plan.adopted.length > 0
      ? plan.adopted.map(({ path }) => path)
      : from === undefined
        ? // Links that lead to a release that is gone; else there is nothing.
          [...plan.removed]
        : livePaths(layout, from);
  return { before, after: livePaths(layout, after) };
}
