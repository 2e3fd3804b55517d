import type { Type } from 'typebox';
import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { AgentDefinition, Invocation, InvocationResult, RuntimeSpec } from './agents.ts';
import type { CallDoor } from './call-door.ts';
import type { Path } from './fields.ts';
import type { Frontmatter } from './frontmatter.ts';

export type RuntimeKind = RuntimeSpec['kind'];

/** What a look at an agent's needs came to. */
export type CheckResult =
  | { readonly ok: true }
  /** `unavailable`: something it needs is not here. `failed`: all is here and it does not work. */
  | { readonly ok: false; readonly state: 'unavailable' | 'failed'; readonly reason: string };

/** One way of running agents. */
export interface Runtime {
  /** Looks whether the agent could run now, without running it for real. Never rejects but for the signal. */
  check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult>;
  /** Runs it once; the result is not checked yet. Throws `agent_*`, `timeout`, `cancelled` or `invalid_input`. */
  run(invocation: Invocation): Promise<InvocationResult>;
  /** Ends what it keeps open between calls. */
  close?(): Promise<void>;
}

/** What runtimes are made with. */
export interface RuntimeTools {
  /** Where the package is: its `bin` and `node_modules/.bin` come before PATH. */
  readonly packageRoot: string;
  /** What requirements and secrets are looked up in, and agents get some of. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** What is to be known again after a restart. */
  readonly database: Database;
  /** The only way out to the network. */
  readonly outbound: Outbound;
  readonly models: ModelDefaults;
  /** Where programs call other agents. */
  readonly callDoor: CallDoor;
}

/** What a `model` runtime goes by where its definition does not say. */
export interface ModelDefaults {
  readonly provider: 'anthropic' | 'openai-compatible';
  /** Empty: what the alias of the definition stands for at the provider. */
  readonly model: string;
  /** Empty: the provider's own. */
  readonly baseUrl: string;
}

/** What `centuria.runtime` of one kind looks like. */
export interface RuntimeSpecKind {
  readonly schema: ReturnType<typeof Type.Object>;
  /** Complains of what the schema can't say; called with a spec that fits it. */
  readonly check?: (
    front: Frontmatter,
    spec: Readonly<Record<string, unknown>>,
    path: Path,
  ) => void;
}
