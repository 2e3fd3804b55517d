import type { Runtime, RuntimeKind, RuntimeTools } from './runtime.ts';
import { openChildren } from './runtimes/children.ts';
import type { Mcp } from './runtimes/mcp-tools.ts';
import { createCommandRuntime } from './runtimes/command.ts';

/** The runtimes of this version, by their kind. */
export async function openRuntimes(
  tools: RuntimeTools,
): Promise<Readonly<Partial<Record<RuntimeKind, Runtime>>>> {
  const children = await openChildren(tools);
  let opened: Promise<Mcp> | undefined;
  const mcp = (): Promise<Mcp> =>
    (opened ??= import('./runtimes/mcp.ts').then(({ openMcp }) => openMcp(tools, children)));
  return {
    command: await createCommandRuntime(tools, children),
    http: loadedWhenUsed(async () => (await import('./runtimes/http.ts')).createHttpRuntime(tools)),
    a2a: loadedWhenUsed(async () => (await import('./runtimes/a2a.ts')).createA2aRuntime(tools)),
    mcp: {
      ...loadedWhenUsed(async () => {
        const { createMcpRuntime } = await import('./runtimes/mcp.ts');
        return createMcpRuntime(tools, await mcp(), children);
      }),
      // Models use its connections, too.
      close: async () => (await opened)?.sessions.close(),
    },
    model: loadedWhenUsed(async () =>
      (await import('./runtimes/model.ts')).createModelRuntime(tools, mcp),
    ),
    'claude-code': loadedWhenUsed(async () =>
      (await import('./runtimes/claude-code.ts')).createClaudeCodeRuntime(tools, children),
    ),
  };
}

/** A start must not pay for the libraries of runtimes that no agent has: they take 60 to 200 ms each. */
function loadedWhenUsed(load: () => Promise<Runtime>): Runtime {
  let loading: Promise<Runtime> | undefined;
  const loaded = (): Promise<Runtime> => (loading ??= load());
  return {
    check: async (definition, signal) => (await loaded()).check(definition, signal),
    run: async (invocation) => (await loaded()).run(invocation),
    close: async () => (await loading)?.close?.(),
  };
}
