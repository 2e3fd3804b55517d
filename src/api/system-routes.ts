import { getHeapStatistics } from 'node:v8';
import { AppError } from '../base/base.ts';
import { answers } from './answers.ts';
import { createDatabaseCheck } from './health.ts';
import type { Http } from './http.ts';
import type { RouteParts } from './parts.ts';
import {
  loginLinkSchema,
  systemStatusSchema,
  type LoginLink,
  type SystemStatus,
} from './schemas.ts';

/** The state of the process, and links that let a browser in. */
export function systemRoutes(app: Http, parts: RouteParts): void {
  const checkDatabase = createDatabaseCheck(parts.database, parts.clock);

  app.get(
    '/api/v1/system/status',
    {
      config: { action: 'status.read' },
      schema: {
        tags: ['system'],
        operationId: 'getSystemStatus',
        summary: 'Version, database, memory, agents and open work.',
        response: answers({ 200: systemStatusSchema }),
      },
    },
    async (): Promise<SystemStatus> => {
      const { clock, config, database, startedAt, version } = parts;
      const memory = process.memoryUsage();
      return {
        version,
        startedAt: startedAt.toISOString(),
        uptimeSeconds: Math.max(0, Math.round((clock.nowMs() - startedAt.getTime()) / 1_000)),
        node: process.version,
        pid: process.pid,
        home: config.home,
        database: {
          driver: database.driver,
          versionNumber: database.versionNumber,
          vector: database.capabilities.vector,
          ...(await checkDatabase()),
        },
        memory: {
          residentBytes: memory.rss,
          heapUsedBytes: memory.heapUsed,
          heapLimitBytes: getHeapStatistics().heap_size_limit,
        },
        agents: agentCounts(parts),
        ...(await openWork(parts)),
        bridge: {
          eventStreams: parts.streams.open,
          longPolls: parts.longPolls.taken,
          invocations: parts.invocations.taken,
        },
      };
    },
  );

  app.post(
    '/api/v1/login-links',
    {
      config: { action: 'self' },
      schema: {
        tags: ['system'],
        operationId: 'createLoginLink',
        summary: 'A link that opens one browser session, once, within five minutes.',
        response: answers({ 201: loginLinkSchema }),
      },
    },
    async (request, reply) => {
      // A session that could make sessions would never end.
      if (request.caller?.kind !== 'owner') {
        throw new AppError('denied', 'only the token of the data folder makes login links', {
          remedy: 'Run `centuria open` where the data folder is.',
        });
      }
      const link: LoginLink = { url: parts.loginLink(), expiresInSeconds: 300 };
      return reply.code(201).send(link);
    },
  );
}

function agentCounts({ agents }: RouteParts): SystemStatus['agents'] {
  const byState: Record<string, number> = {};
  for (const { name } of agents.list()) {
    const state = agents.status(name)?.state ?? 'initializing';
    byState[state] = (byState[state] ?? 0) + 1;
  }
  return { count: agents.list().length, byState, problems: agents.problems().length };
}

async function openWork({
  workStatus,
}: RouteParts): Promise<Pick<SystemStatus, 'runs' | 'worker'>> {
  const { open, worker } = await workStatus();
  const total = Object.values(open).reduce((sum, some) => sum + some, 0);
  return {
    runs: { open: total, byStatus: { ...open } },
    ...(worker === undefined ? {} : { worker }),
  };
}
