/** Agents that models answer for, asked through the runtime alone. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { AgentFailure, parseAgent, type Invocation } from '../../src/agents/agents.ts';
import { createModelRuntime } from '../../src/agents/runtimes/model.ts';
import type { Mcp } from '../../src/agents/runtimes/mcp-tools.ts';
import type { ModelDefaults, Runtime } from '../../src/agents/runtime.ts';
import { newId, systemClock, toAppError } from '../../src/base/base.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { startModelProvider } from './model-provider.ts';
import { testFolder } from './processes.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Made {
  readonly runtime?: Readonly<Record<string, unknown>>;
  readonly own?: Readonly<Record<string, unknown>>;
  readonly front?: Readonly<Record<string, unknown>>;
}

const price = { inputUsdPerMTok: 3, outputUsdPerMTok: 15, cacheReadUsdPerMTok: 0.3 };

/** An agent that a model answers for; JSON is YAML, too. */
export function modelAgent({ runtime, own, front }: Made) {
  const centuria = { runtime: { kind: 'model', price, ...runtime }, ...own };
  const fields = { name: 'asked', description: 'x', ...front, centuria };
  const { definition, problems } = parseAgent(
    `---\n${JSON.stringify(fields)}\n---\nYou answer in one word.`,
    'asked.md',
  );
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}

/** What a call failed with; throws where it failed with something else than a runtime does. */
export async function failureOf(promise: Promise<unknown>): Promise<AgentFailure> {
  const thrown: unknown = await promise.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  if (thrown instanceof AgentFailure) return thrown;
  throw toAppError(thrown);
}

/** A provider, a folder with files to read and some to leave alone, and the runtime between them. */
export async function openModelAgents(mcp?: Mcp) {
  const key = 'sk-test-4f1b7c99e0d24a1d';
  const outside = await testFolder();
  const folder = join(outside, 'repo');
  const server = await startModelProvider(key);
  const outbound = createOutbound({ allow: [] });
  /** All that any call told anybody: results, errors with their causes, progress. */
  const told: string[] = [];
  await fill(outside, folder);

  const runtimeOf = (models: Partial<ModelDefaults>, environment: Environment): Runtime =>
    createModelRuntime(
      {
        packageRoot: folder,
        environment,
        clock: systemClock,
        outbound,
        models: { provider: 'anthropic', model: '', baseUrl: server.url, ...models },
      },
      async () => {
        if (mcp !== undefined) return mcp;
        throw new Error('no agent here names servers');
      },
    );

  return {
    key,
    server,
    folder,
    outside,
    told,
    check: (made: Made, models: Partial<ModelDefaults>, environment: Environment) =>
      runtimeOf(models, environment).check(modelAgent(made), AbortSignal.timeout(10_000)),
    async run(
      models: Partial<ModelDefaults>,
      made: Made = {},
      more: Partial<Invocation> & { readonly environment?: Environment } = {},
    ) {
      const environment = more.environment ?? { ANTHROPIC_API_KEY: key, OPENAI_API_KEY: key };
      const progress: string[] = [];
      try {
        const result = await runtimeOf(models, environment).run({
          agent: modelAgent(made),
          input: 'Which word?',
          attemptId: newId(),
          idempotencyKey: 'run/task',
          timeoutMs: 30_000,
          signal: new AbortController().signal,
          onProgress: (line) => void progress.push(line),
          ...more,
        });
        told.push(JSON.stringify(result), ...progress);
        return { ...result, progress };
      } catch (thrown) {
        told.push(inspect(thrown, { depth: 20 }), JSON.stringify(thrown), ...progress);
        throw thrown;
      }
    },
    async close() {
      await server.close();
      await outbound.close();
      await rm(outside, { recursive: true, force: true });
    },
  };
}

export type ModelAgents = Awaited<ReturnType<typeof openModelAgents>>;

/** What holds whoever answers is asked of both. */
export const bothProviders = [
  { provider: 'anthropic', model: 'claude-test-1' },
  { provider: 'openai-compatible', model: 'test-1' },
] as const;
type RunParameters = Parameters<ModelAgents['run']>;
/** A call of one provider. */
export type Ask = (
  made?: RunParameters[1],
  more?: RunParameters[2],
) => ReturnType<ModelAgents['run']>;

async function fill(outside: string, folder: string): Promise<void> {
  await mkdir(join(folder, 'src/deep'), { recursive: true });
  await mkdir(join(folder, '.git'));
  await writeFile(join(folder, '.git/config'), 'url = https://user:pw@host');
  await writeFile(join(folder, 'src/a.ts'), 'export const a = 1;\nexport const b = 2;\n');
  await writeFile(join(folder, 'src/deep/c.ts'), `// TODO: c\n${'a'.repeat(40)}!\n`);
  await writeFile(join(folder, 'src/image.png'), Buffer.from([1, 0, 2]));
  await writeFile(join(outside, 'secret.txt'), 'out of bounds');
  await symlink(join(outside, 'secret.txt'), join(folder, 'link.txt'));
  await symlink(outside, join(folder, 'up'));
}
