import { a2aSpec } from './runtimes/a2a-spec.ts';
import { claudeCodeSpec } from './runtimes/claude-code-spec.ts';
import { commandSpec } from './runtimes/command-spec.ts';
import { httpSpec } from './runtimes/http-spec.ts';
import { modelSpec } from './runtimes/model-spec.ts';
import { mcpSpec } from './runtimes/mcp-spec.ts';
import type { RuntimeKind, RuntimeSpecKind } from './runtime.ts';

/** What `centuria.runtime` looks like, by its kind. */
export const runtimeSpecs: Readonly<Partial<Record<RuntimeKind, RuntimeSpecKind>>> = {
  command: commandSpec,
  http: httpSpec,
  a2a: a2aSpec,
  model: modelSpec,
  mcp: mcpSpec,
  'claude-code': claudeCodeSpec,
};
