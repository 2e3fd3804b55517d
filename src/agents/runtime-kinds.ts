import type { Runtime, RuntimeKind, RuntimeTools } from './runtime.ts';
import { openChildren } from './runtimes/children.ts';
import { createCommandRuntime } from './runtimes/command.ts';

/** The runtimes of this version, by their kind. */
export async function openRuntimes(
  tools: RuntimeTools,
): Promise<Readonly<Partial<Record<RuntimeKind, Runtime>>>> {
  const children = await openChildren(tools);
  return {
    command: await createCommandRuntime(tools, children),
    http: loadedWhenUsed(async () => (await import('./runtimes/http.ts')).createHttpRuntime(tools)),
    a2a: loadedWhenUsed(async () => (await import('./runtimes/a2a.ts')).createA2aRuntime(tools)),
    mcp: loadedWhenUsed(async () => {
      const { createMcpRuntime, openMcp } = await import('./runtimes/mcp.ts');
      return createMcpRuntime(tools, openMcp(tools, children), children);
    }),
    model: loadedWhenUsed(async () =>
      (await import('./runtimes/model.ts')).createModelRuntime(tools),
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
