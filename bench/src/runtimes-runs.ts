/** What a durable run of one agent costs beside running it, and what a call of an agent by an agent does. */
import type { Coordination } from '../../src/coordination/coordination.ts';
import { loadNow, type Measured } from './report.ts';
import { fetching } from './runtimes-direct.ts';
import { figuresOf, measurePair } from './runtimes-pairs.ts';
import { payload } from './runtimes-payload.ts';
import type { Setting } from './runtimes-setup.ts';

/** Of the calls that an attempt may make; the first are its warm-up. */
const callsOfCaller = 100;
const warmUpCalls = 10;

/** A run is written, claimed, driven and read back; its agent does the same as without one. */
export async function measureRuns(
  { invoke }: Setting,
  runs: Coordination,
  times: number,
): Promise<Measured[]> {
  return measurePair({
    name: 'durable_run',
    times,
    expected: payload,
    async ours() {
      const { id } = await runs.startAgent({ name: 'http', input: payload });
      return (await runs.wait(id)).output;
    },
    direct: { name: 'invoke of the same agent', call: () => invoke('http') },
  });
}

export async function measureDelegation(
  { addresses }: Setting,
  runs: Coordination,
  times: number,
): Promise<Measured[]> {
  const loads = [loadNow()];
  const delegated: number[] = [];
  const direct: number[] = [];
  while (delegated.length < times) {
    const input = { times: callsOfCaller, payload };
    const { id } = await runs.startAgent({ name: 'caller', input });
    const { output, error } = await runs.wait(id);
    if (error !== undefined) throw new Error(`the caller failed: ${error.message}`);
    const told = output as { delegated: number[]; direct: number[] };
    delegated.push(...told.delegated.slice(warmUpCalls));
    direct.push(...told.direct.slice(warmUpCalls));
  }
  loads.push(loadNow());
  return figuresOf(
    { name: 'delegated_call', direct: fetching(addresses) },
    delegated,
    direct,
    loads,
  );
}
