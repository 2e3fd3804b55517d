/** The registry of agent definitions and the runtimes that run them. */
import type { ErrorRecord } from '../base/base.ts';
import type { agentCategories } from './definition-schema.ts';

export { agentCategories } from './definition-schema.ts';
export { diffAgents, type AgentDiff } from './diff.ts';
export { exportAgents, type ExportedAgent } from './export-agents.ts';
export { AgentFailure, type FailureFacts } from './failure.ts';
export { formatAgent } from './format.ts';
export { importAgents, type ImportedFile, type ImportOptions } from './import-agents.ts';
export type { ImportComplaint } from './import-complaint.ts';
export { schemaProblem } from './json-schema.ts';
export { checkInput } from './verify.ts';
export { agentFolders } from './folders.ts';
export { lintAgents, type LintOptions, type LintResult } from './lint.ts';
export { parseAgent, type ParsedAgent } from './parse.ts';
export { openRegistry, type RegistryOptions } from './registry.ts';

export type AgentState =
  | 'initializing'
  | 'active'
  | 'degraded'
  | 'unavailable'
  | 'failed'
  | 'shutting_down';

export type AgentCategory = (typeof agentCategories)[number];

/** One parsed, valid definition. Immutable; a change makes another with another hash. */
export interface AgentDefinition {
  readonly name: string;
  readonly description: string;
  readonly category: AgentCategory;
  readonly capabilities: readonly string[];
  readonly runtime: RuntimeSpec | undefined;
  readonly timeoutMs: number;
  /** Further tries after the first. */
  readonly retries: number;
  readonly invokes: readonly string[];
  readonly requires: {
    readonly binaries: readonly string[];
    readonly environment: readonly string[];
  };
  readonly sideEffects: 'none' | 'workspace' | 'external';
  readonly verify: VerifySpec | undefined;
  /** A JSON Schema of what it takes; absent: anything. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** What one call may use at most, as its file says. */
  readonly budget?: { readonly tokens?: number; readonly usd?: number };
  /** All fields as they stood: Claude Code's, `centuria` and unknown ones. */
  readonly frontmatter: Readonly<Record<string, unknown>>;
  readonly prompt: string;
  /** SHA-256 of the file's bytes, lower-case hex. */
  readonly hash: string;
  /** The file's text: what is stored so that a run can go on with the definition it was pinned to. */
  readonly source: string;
  readonly file: string;
}

export interface RuntimeSpec {
  readonly kind: 'command' | 'http' | 'mcp' | 'a2a' | 'model' | 'claude-code';
  readonly [key: string]: unknown;
}

export interface VerifySpec {
  readonly [key: string]: unknown;
}

/** What an agent is asked to do: one attempt of a task, or a call by hand. */
export interface Invocation {
  readonly agent: AgentDefinition;
  readonly input: unknown;
  /** Names this attempt: the idempotency key, and how its processes are found again after a crash. */
  readonly attemptId: string;
  /** The same for every attempt of one task of one run. */
  readonly idempotencyKey: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** 1, 2, 3 …: which try this is. */
  readonly attempt?: number;
  /** What the try before had given when it failed. */
  readonly partial?: unknown;
  /** What it may use at the most; runtimes that can hold an agent to it do. */
  readonly budget?: { readonly microUsd?: number; readonly tokens?: number };
  /** Called with lines an agent reports while it works (its standard error), bounded. */
  readonly onProgress?: (text: string) => void;
  /** Absent where it may call nobody. */
  readonly delegate?: Delegate;
}

/** How an agent under way calls others, in the name of whoever started its run. */
export interface Delegate {
  /** Whom it may call: those its definition names, less those it works for itself. */
  readonly agents: readonly AgentDefinition[];
  /**
   * Starts a run of its own, below the caller's, and waits for its result. A repeated attempt gets what
   * the same call gave before. Throws `delegation_refused` and what the called agent failed with.
   */
  call(request: DelegatedCall): Promise<DelegatedAnswer>;
}

export interface DelegatedCall {
  readonly agent: string;
  readonly input: unknown;
  /** Ends the waiting and cancels the run. */
  readonly signal?: AbortSignal;
}

export interface DelegatedAnswer {
  readonly runId: string;
  readonly output: unknown;
}

export interface InvocationResult {
  readonly output: unknown;
  readonly usage: {
    readonly wallMs: number;
    readonly cpuMs?: number;
    readonly peakMemoryBytes?: number;
    readonly outputBytes?: number;
    readonly tokens?: number;
    readonly microUsd?: number;
  };
}

export interface AgentStatus {
  readonly name: string;
  readonly state: AgentState;
  /** Why it is not active. */
  readonly reason?: string;
  readonly checkedAt: string;
  readonly lastError?: ErrorRecord;
}

/** A tool of an MCP server that an agent uses, and what is made of what the server says of it. */
export interface AgentTool {
  readonly server: string;
  /** Hidden characters are written out, here and in the definitions. */
  readonly tool: string;
  readonly state: 'trusted' | 'quarantined';
  /** The rest of the sentence "the tool …". */
  readonly reason?: string;
  /** Of the definition. */
  readonly hash: string;
  readonly firstSeenAt: string;
  readonly changedAt: string;
  readonly acceptedBy?: string;
  readonly acceptedAt?: string;
  readonly definition: unknown;
  /** What was accepted, where that is another. */
  readonly trusted?: unknown;
}

export interface AcceptTool {
  /** Of the definition that somebody has looked at. */
  readonly hash: string;
  readonly tool?: string | undefined;
  readonly by: { readonly name: string; readonly id: string };
}

/** A complaint about a definition file. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** What would be right. */
  readonly suggestion?: string;
}

/** The live set of definitions, their states, and the way to run one. */
export interface AgentRegistry {
  list(): readonly AgentDefinition[];
  get(name: string): AgentDefinition | undefined;
  /** By hash: a loaded one, or one that was stored by `pin`. */
  byHash(hash: string): Promise<AgentDefinition | undefined>;
  /** Stores definitions so that runs pinned to them can go on after the file has changed. */
  pin(definitions: readonly AgentDefinition[]): Promise<void>;
  status(name: string): AgentStatus | undefined;
  /** What is wrong with the files of the folders now. */
  problems(): readonly Problem[];
  /** Runs the agent once, checks its result (`verify`), and throws an `agent_*` AppError on failure. */
  invoke(invocation: Invocation): Promise<InvocationResult>;
  /** Ends processes that a dead worker left behind for these attempts; says how many. */
  reap(attemptIds: readonly string[]): Promise<number>;
  /** The tools of MCP servers that a loaded agent uses, as far as the servers were asked; none for an unknown agent. */
  tools(name: string): Promise<readonly AgentTool[]>;
  /** Lets agents use a quarantined tool as its server describes it now. Throws `conflict` and `agent_not_found`. */
  acceptTool(name: string, asked: AcceptTool): Promise<void>;
  onChange(
    listener: (change: { added: string[]; changed: string[]; removed: string[] }) => void,
  ): () => void;
  close(): Promise<void>;
}
