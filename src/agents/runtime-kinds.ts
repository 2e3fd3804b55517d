import type { Runtime, RuntimeKind, RuntimeTools } from './runtime.ts';
import { createCommandRuntime } from './runtimes/command.ts';
import { createModelRuntime } from './runtimes/model.ts';

/** The runtimes of this version, by their kind. */
export async function openRuntimes(
  tools: RuntimeTools,
): Promise<Readonly<Partial<Record<RuntimeKind, Runtime>>>> {
  return { command: await createCommandRuntime(tools), model: createModelRuntime(tools) };
}
