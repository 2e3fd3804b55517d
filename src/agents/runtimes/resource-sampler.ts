import { readProcesses, type ProcessStat, type ProcUnits } from '../processes.ts';

/** What the processes of one attempt use together at one moment. */
export interface Sample {
  /** Of the living ones and the children they waited for. */
  readonly cpuMs: number;
  /** Resident; pages that they share are counted once for each. */
  readonly memoryBytes: number;
}

/**
 * Polls `/proc` for all watched attempts together. It is polling: what lives for less than the
 * interval may be missed, and a process may pass its memory limit for that long.
 */
export interface ResourceSampler {
  /** Samples the group of `leader` and its descendants until the returned function is called. */
  watch(leader: number, onSample: (sample: Sample) => void): () => void;
}

export const sampleIntervalMs = 200;
/** Most tools are done before the first interval is over; a first look soon gives them a figure, too. */
const firstSampleMs = 30;

interface Watched {
  readonly leader: number;
  readonly onSample: (sample: Sample) => void;
  /** Start times by pid: a descendant that left the group is still followed. */
  members: Map<number, number>;
}

export function createResourceSampler(units: ProcUnits): ResourceSampler {
  const watched = new Set<Watched>();
  let timer: NodeJS.Timeout | undefined;

  function sample(targets: Iterable<Watched>): void {
    const processes = readProcesses();
    for (const target of targets) {
      const members = membersOf(target, processes);
      target.members = new Map(members.map((member) => [member.pid, member.startTicks]));
      if (members.length === 0) continue;
      let ticks = 0;
      let pages = 0;
      for (const member of members) {
        ticks += member.cpuTicks;
        pages += member.residentPages;
      }
      target.onSample({
        cpuMs: (ticks * 1_000) / units.ticksPerSecond,
        memoryBytes: pages * units.pageBytes,
      });
    }
  }

  return {
    watch(leader, onSample) {
      const target: Watched = { leader, onSample, members: new Map() };
      watched.add(target);
      const first = setTimeout(() => sample([target]), firstSampleMs);
      timer ??= setInterval(() => sample([...watched]), sampleIntervalMs);
      return () => {
        clearTimeout(first);
        watched.delete(target);
        if (watched.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
}

/** The leader's group and session, those followed before, and all their descendants. */
export function membersOf(
  target: { readonly leader: number; readonly members: ReadonlyMap<number, number> },
  processes: readonly ProcessStat[],
): ProcessStat[] {
  const children = new Map<number, ProcessStat[]>();
  const found = new Map<number, ProcessStat>();
  for (const process of processes) {
    const siblings = children.get(process.parent);
    if (siblings === undefined) children.set(process.parent, [process]);
    else siblings.push(process);
    const belongs =
      process.group === target.leader ||
      process.session === target.leader ||
      target.members.get(process.pid) === process.startTicks;
    if (belongs) found.set(process.pid, process);
  }
  // A map may grow while it is walked: each descendant is visited in its turn.
  for (const pid of found.keys()) {
    for (const child of children.get(pid) ?? []) found.set(child.pid, child);
  }
  return [...found.values()];
}
