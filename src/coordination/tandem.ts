/**
 * Which doors a call of an agent goes through. What the call means stands elsewhere and is the same
 * behind every door: this is the choice alone, a pure function of what is open and what was measured.
 */
import type { FailureFacts, Invocation, InvocationResult } from '../agents/agents.ts';
import { AppError } from '../base/base.ts';
import type { Tandem } from './definition.ts';
import type { DoorName } from './events.ts';

/** A way to an agent. */
export interface Door {
  readonly name: DoorName;
  /** Why this call can't go through it now; undefined when it can. */
  closed(invocation: Invocation): string | undefined;
  /** Carries one call; rejects for a defect only. When the signal aborts, the agent is stopped before the answer. */
  call(invocation: Invocation): Promise<DoorAnswer>;
}

export type DoorAnswer =
  | { readonly result: InvocationResult }
  | {
      readonly error: AppError;
      /** Whether the agent may have begun: only where it surely has not, another door is tried. */
      readonly began: boolean;
      readonly facts?: FailureFacts;
    };

/** A door as the choice sees it. */
export interface DoorView {
  readonly name: DoorName;
  readonly closed?: string;
  /** Calls of this agent through it that were measured and count still. */
  readonly calls: number;
  /** What the way took beyond the agent's own time; absent without a call. */
  readonly overheadMs?: number;
}

/** `one`: in this order, the next where the one before was not reached. `first`, `all`: all at once. */
export interface Plan {
  readonly how: 'one' | 'first' | 'all';
  readonly doors: readonly DoorName[];
}

/** The bytes of an input from which the wire has nothing to win: copying outweighs the framing. */
export const largeInputBytes = 4_096;
/** Calls that a door has to itself before another one, of which nothing is known, is measured too. */
export const callsBeforeLook = 10;

/** Whether the agent is called more than once: what changes something must not be. */
export function actsTwice(tandem: Tandem | undefined): tandem is 'redundant' | 'consensus' {
  return tandem === 'redundant' || tandem === 'consensus';
}

/** Chooses among the doors that there are. Throws `unavailable` with the reason where none will do. */
export function planCall(tandem: Tandem, doors: readonly DoorView[], inputBytes: number): Plan {
  const open = doors.filter((door) => door.closed === undefined);
  switch (tandem) {
    case 'standard':
      return { how: 'one', doors: [only('http', doors)] };
    case 'speed':
      return { how: 'one', doors: [only('wire', doors)] };
    case 'intelligent':
      if (open.length === 0) throw noDoor(doors);
      return { how: 'one', doors: ranked(open, inputBytes).map(({ name }) => name) };
    default:
      if (open.length < 2) throw tooFew(tandem, open, doors);
      return {
        how: tandem === 'redundant' ? 'first' : 'all',
        doors: open.map(({ name }) => name),
      };
  }
}

function only(name: DoorName, doors: readonly DoorView[]): DoorName {
  const door = doors.find((each) => each.name === name);
  if (door !== undefined && door.closed === undefined) return name;
  throw shut(whyShut(name, door), {
    remedy:
      name === 'wire'
        ? 'Write tandem: intelligent or standard on the task, or leave it out.'
        : 'Leave tandem out: then the worker calls the agent itself.',
  });
}

function whyShut(name: DoorName, door: DoorView | undefined): string {
  if (door?.closed !== undefined) return `the door ${name} is closed: ${door.closed}`;
  return name === 'wire' ? 'the wire is not in this version' : `this worker has no door ${name}`;
}

function noDoor(doors: readonly DoorView[]): AppError {
  const reasons = doors.map((door) => whyShut(door.name, door));
  return shut(reasons.length === 0 ? 'this worker has no doors' : reasons.join('; '), {
    remedy: 'Leave tandem out: then the worker calls the agent itself.',
  });
}

function tooFew(tandem: Tandem, open: readonly DoorView[], doors: readonly DoorView[]): AppError {
  const names = open.map(({ name }) => name);
  const others = (['http', 'wire'] as const)
    .filter((name) => !names.includes(name))
    .map((name) =>
      whyShut(
        name,
        doors.find((door) => door.name === name),
      ),
    );
  const said = names.length === 0 ? 'none is open' : `open is ${names.join(', ')} alone`;
  return shut(`${tandem} needs two doors, and ${said}: ${others.join('; ')}`, {
    remedy: 'Write tandem: intelligent or standard on the task, or leave it out.',
  });
}

/** Trying again soon changes nothing of what this process has. */
function shut(message: string, { remedy }: { remedy: string }): AppError {
  return new AppError('unavailable', message, { remedy, retryable: false });
}

/** Best first. */
function ranked(open: readonly DoorView[], inputBytes: number): DoorView[] {
  const bySize = inputBytes < largeInputBytes ? 'wire' : 'http';
  const sizeRank = ({ name }: DoorView): number => (name === bySize ? 0 : 1);
  const measured = open.filter(({ overheadMs }) => overheadMs !== undefined);
  const isKnownWell = measured.every(({ calls }) => calls >= callsBeforeLook);
  // One of which nothing is known goes last at first and then has its turn, or nothing ever would be known.
  const whenUnknown = isKnownWell ? -Infinity : Infinity;
  const costMs = ({ overheadMs }: DoorView): number => overheadMs ?? whenUnknown;
  return open.toSorted((a, b) =>
    costMs(a) === costMs(b) ? sizeRank(a) - sizeRank(b) : costMs(a) < costMs(b) ? -1 : 1,
  );
}
