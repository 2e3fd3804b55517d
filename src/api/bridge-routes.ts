import { dirname } from 'node:path';
import { answers } from './answers.ts';
import { createDatabaseCheck, isReadableFolder, type DatabaseHealth } from './health.ts';
import type { Http } from './http.ts';
import type { RouteParts } from './parts.ts';
import {
  bridgeAgentsSchema,
  bridgeStatusSchema,
  healthSchema,
  type BridgeAgents,
  type BridgeStatus,
  type Health,
} from './schemas.ts';

const noLearningApi = { reason: 'this process serves no learning API' };

/** The three addresses that clients of earlier bridges know: /health, /agents and /status. */
export function bridgeRoutes(app: Http, parts: RouteParts): void {
  const { agents, clock, config, database, isReady } = parts;
  const checkDatabase = createDatabaseCheck(database, clock);

  app.get(
    '/health',
    {
      config: { open: true, always: true },
      schema: {
        tags: ['bridge'],
        operationId: 'getHealth',
        summary: 'Whether the bridge works; 503 when it does not. Needs no credential.',
        security: [],
        response: answers({ 200: healthSchema, 503: healthSchema }),
      },
    },
    async (_request, reply) => {
      const health = healthOf(await checkDatabase(), parts, isReady());
      return reply.code(health.status === 'ok' ? 200 : 503).send(health);
    },
  );

  app.get(
    '/agents',
    {
      config: { action: 'agents.read' },
      schema: {
        tags: ['bridge'],
        operationId: 'getBridgeAgents',
        summary: 'Every agent with its state.',
        response: answers({ 200: bridgeAgentsSchema }),
      },
    },
    async (): Promise<BridgeAgents> => {
      const rows = agents.list().map(({ name, description, category }) => ({
        name,
        description,
        category,
        status: agents.status(name)?.state ?? 'initializing',
      }));
      return { agents: rows, count: rows.length };
    },
  );

  app.get(
    '/status',
    {
      config: { action: 'status.read' },
      schema: {
        tags: ['bridge'],
        operationId: 'getBridgeStatus',
        summary: 'Which parts work, each checked for this answer.',
        response: answers({ 200: bridgeStatusSchema }),
      },
    },
    async (): Promise<BridgeStatus> => {
      const loaded = agents.list().map(({ file }) => dirname(file));
      const folders = [...new Set([...config.values.agentFolders, ...loaded])];
      const readable = await Promise.all(folders.map(isReadableFolder));
      const agentsDir = folders.length > 0 && readable.every(Boolean);
      const configDir = await isReadableFolder(config.home);
      const postgres = await checkDatabase();
      const learningApi = parts.learningApi?.() ?? noLearningApi;
      const unreadable = folders.filter((_folder, index) => readable[index] === false);
      return {
        bridge: isReady() ? 'ok' : 'starting',
        learning_api: 'url' in learningApi ? 'ok' : 'unavailable',
        postgres: postgres.status,
        agents_dir: agentsDir,
        config_dir: configDir,
        reasons: {
          ...('url' in learningApi ? {} : { learning_api: learningApi.reason }),
          ...(postgres.reason === undefined ? {} : { postgres: postgres.reason }),
          ...(agentsDir
            ? {}
            : {
                agents_dir:
                  folders.length === 0
                    ? 'no agent is loaded and no folder is configured'
                    : `can not be read: ${unreadable.join(', ')}`,
              }),
          ...(configDir ? {} : { config_dir: `can not be read: ${config.home}` }),
        },
      };
    },
  );
}

function healthOf(
  database: DatabaseHealth,
  { clock, startedAt, version }: Pick<RouteParts, 'clock' | 'startedAt' | 'version'>,
  ready: boolean,
): Health {
  const now = clock.nowMs();
  return {
    status: database.status === 'ok' ? (ready ? 'ok' : 'starting') : 'degraded',
    service: 'bridge',
    database: database.status,
    ...(database.reason === undefined ? {} : { reason: `database: ${database.reason}` }),
    version,
    uptimeSeconds: Math.max(0, Math.round((now - startedAt.getTime()) / 1_000)),
    timestamp: new Date(now).toISOString(),
  };
}
