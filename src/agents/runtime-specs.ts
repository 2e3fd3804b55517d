import { claudeCodeSpec } from './runtimes/claude-code-spec.ts';
import { commandSpec } from './runtimes/command-spec.ts';
import { mcpSpec } from './runtimes/mcp-spec.ts';
import { modelSpec } from './runtimes/model-spec.ts';
import type { RuntimeKind, RuntimeSpecKind } from './runtime.ts';

/** What `centuria.runtime` looks like, by its kind. */
export const runtimeSpecs: Readonly<Partial<Record<RuntimeKind, RuntimeSpecKind>>> = {
  command: commandSpec,
  mcp: mcpSpec,
  model: modelSpec,
  'claude-code': claudeCodeSpec,
};
