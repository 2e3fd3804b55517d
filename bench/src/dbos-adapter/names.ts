/** What the worker and the caller of the adapter agree on. */
export const appName = 'conformance';
export const appVersion = '1';
export const queueName = 'chains';
export const workflowName = 'chain';
/** As long as a run of ours may take by default. */
export const workflowTimeoutMS = 300_000;

/** A workflow's definition is its input, so that it is pinned for the workflow's life, as ours are. */
export interface ChainInput {
  readonly key: string;
  readonly steps: number;
  readonly ms: number;
  readonly faultPercent: number;
}

const nothing = (): void => undefined;
export const silent = { info: nothing, debug: nothing, warn: nothing, error: nothing };
