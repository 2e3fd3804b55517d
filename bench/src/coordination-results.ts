/** What was measured of each engine, and why something could not be. */
import { loadNow, type Measured } from './report.ts';
import { peerVersion } from './peers.ts';

/** The engines by the name of their process; what they are called beside our figures. */
export const engines = {
  server: 'centuria',
  embedded: 'centuria, embedded database',
  dbos: peerVersion('@dbos-inc/dbos-sdk'),
  'dbos-50ms': `${peerVersion('@dbos-inc/dbos-sdk')}, polling every 50 ms`,
  'graphile-worker': peerVersion('graphile-worker'),
  'pg-boss': peerVersion('pg-boss'),
} as const;

export type EngineName = keyof typeof engines;

/** Engines whose unit is a job: a step is a job whose handler queues the next one. */
const jobQueues: ReadonlySet<EngineName> = new Set(['graphile-worker', 'pg-boss']);

export class Results {
  readonly #values = new Map<string, number[]>();
  readonly #loads = new Map<string, number[]>();
  readonly #reasons = new Map<EngineName, string>();

  /** Measures once; a failure is the engine's reason for whatever it lacks, and the others go on. */
  async measure(
    engine: EngineName,
    metric: string,
    work: () => Promise<number | undefined>,
  ): Promise<void> {
    if (this.#reasons.has(engine)) return;
    const key = `${engine} ${metric}`;
    push(this.#loads, key, loadNow());
    try {
      const value = await work();
      if (value !== undefined) push(this.#values, key, value);
    } catch (error) {
      this.fail(engine, error);
    }
  }

  fail(engine: EngineName, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (!this.#reasons.has(engine)) this.#reasons.set(engine, text.split('\n', 1)[0] ?? text);
  }

  hasFailed(engine: EngineName): boolean {
    return this.#reasons.has(engine);
  }

  /** Our figure beside each peer, the first line with the target. */
  figures(
    own: 'server' | 'embedded',
    metric: string,
    shown: Pick<Measured, 'unit' | 'target'> & {
      readonly as?: string;
      readonly peers?: readonly (EngineName | Beside)[];
    },
  ): Measured[] {
    const { as = metric, peers = [], unit, target } = shown;
    const key = `${own} ${metric}`;
    const base = {
      metric: as,
      unit,
      values: this.#values.get(key) ?? [],
      loads: this.#loads.get(key) ?? [],
    };
    const aim = target === undefined ? {} : { target };
    if (peers.length === 0) return [{ ...base, ...aim }];
    return peers.map((peer, index) => ({
      ...base,
      ...(index === 0 ? aim : {}),
      peer: this.#peer(peer, metric),
    }));
  }

  /** Why an engine lacks figures. */
  reason(engine: EngineName): string | undefined {
    return this.#reasons.get(engine);
  }

  #peer(peer: EngineName | Beside, metric: string): NonNullable<Measured['peer']> {
    if (typeof peer === 'object' && 'unavailable' in peer) return peer;
    const { engine, its, what } =
      typeof peer === 'string' ? { engine: peer, its: metric, what: unitOf(peer) } : peer;
    const name = what === '' ? engines[engine] : `${engines[engine]}, ${what}`;
    const values = this.#values.get(`${engine} ${its}`);
    return values === undefined
      ? { name, unavailable: this.#reasons.get(engine) ?? 'it has none' }
      : { name, values };
  }
}

/** Another figure of a peer than the one of the same name, or the reason why there can be none. */
export type Beside =
  | { readonly engine: EngineName; readonly its: string; readonly what: string }
  | { readonly name: string; readonly unavailable: string };

function unitOf(engine: EngineName): string {
  return jobQueues.has(engine) ? 'a job a step' : '';
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}
