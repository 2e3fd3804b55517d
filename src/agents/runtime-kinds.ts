import type { Runtime, RuntimeKind, RuntimeTools } from './runtime.ts';
import { createA2aRuntime } from './runtimes/a2a.ts';
import { createCommandRuntime } from './runtimes/command.ts';
import { createHttpRuntime } from './runtimes/http.ts';

/** The runtimes of this version, by their kind. */
export async function openRuntimes(
  tools: RuntimeTools,
): Promise<Readonly<Partial<Record<RuntimeKind, Runtime>>>> {
  return {
    command: await createCommandRuntime(tools),
    http: createHttpRuntime(tools),
    a2a: createA2aRuntime(tools),
  };
}
