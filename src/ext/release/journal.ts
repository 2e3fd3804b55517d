/** What was done, on the target: enough to go on, or back, after whoever did it was killed. */
import { AppError, type Clock } from '../../base/base.ts';
import type { DeploymentState, JournalLine, Plan } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import type { Layout } from './layout.ts';

/** A deployment as its journal tells it. */
export interface Deployment {
  readonly plan: Plan;
  readonly lines: readonly JournalLine[];
  readonly isActive: boolean;
}

/** Kept free for the lines that tell how a deployment on a full disk was taken back. */
const reserveBytes = 65_536;

/** As many as `status` and `rollback` look through; older journals stay where they are. */
const mostJournals = 50;

/**
 * Begins the journal of a plan. Making the link `active` is what admits one deployment at a time.
 * Throws `ext_busy` when another one is under way or was left unfinished.
 */
export async function beginJournal(
  host: Host,
  layout: Layout,
  clock: Clock,
  plan: Plan,
): Promise<void> {
  const line: JournalLine = { at: now(clock), step: 'begin', event: 'begins', details: { plan } };
  const { exit, stderr } = await host.run(
    `set -eu
umask 022
mkdir -p "$1/journal" "$1/current" "$1/releases"
cd "$1"
if [ -L active ]; then exit 75; fi
trap 'rm -f "journal/$2.jsonl" .reserve' EXIT
cat > "journal/$2.jsonl"
head -c ${reserveBytes} /dev/urandom > .reserve
# What the link leads to is on the disk before the link is.
sync "journal/$2.jsonl" 2>/dev/null || sync
if ! ln -s "journal/$2.jsonl" active; then
  if [ -L active ]; then exit 75; fi
  exit 1
fi
trap - EXIT
sync journal . 2>/dev/null || sync`,
    { args: [layout.folder, plan.id], input: `${JSON.stringify(line)}\n` },
  );
  if (exit === 0) return;
  if (exit === 75) throw busy((await readActive(host, layout))?.plan);
  const why = stderr.trim().split('\n').at(-1) ?? '';
  throw new AppError('ext_failed', `${layout.folder} can not be written to: ${why}`, {
    remedy:
      'Make room, deploy as the owner of the staging folder, or name another one with --staging-dir.',
  });
}

/**
 * Makes a deployment that had ended the active one again, so that it is not built upon while it is taken
 * back, and a rollback that is killed is found. Throws `ext_busy` when another one is under way.
 */
export async function activate(host: Host, layout: Layout, deployment: Deployment): Promise<void> {
  if (deployment.isActive) return;
  const { exit } = await host.run(
    `cd "$1" && head -c ${reserveBytes} /dev/urandom > .reserve
if ! ln -s "journal/$2.jsonl" active; then [ -L active ] && exit 75; exit 1; fi
sync . 2>/dev/null || sync`,
    { args: [layout.folder, deployment.plan.id] },
  );
  if (exit === 75) throw busy((await readActive(host, layout))?.plan);
  if (exit === 0) return;
  throw new AppError('ext_failed', `${layout.folder} can not be written to`, {
    remedy: 'Make room there, or roll back as the owner of the staging folder.',
  });
}

/** Adds a line, and returns when it is on the disk. */
export async function append(
  host: Host,
  layout: Layout,
  clock: Clock,
  id: string,
  line: Omit<JournalLine, 'at'>,
): Promise<void> {
  // A line that a crash has torn is ended first: what follows it must stand alone.
  await host.check(
    `set -eu
file=$1
line=$(cat)
write() {
  if [ -n "$(tail -c 1 "$file")" ]; then echo >> "$file"; fi
  printf '%s\\n' "$line" >> "$file"
}
write || { rm -f "$2"; write; }
sync "$file" 2>/dev/null || sync`,
    {
      args: [`${layout.journals}/${id}.jsonl`, `${layout.folder}/.reserve`],
      input: `${JSON.stringify({ at: now(clock), ...line })}\n`,
    },
  );
}

/** Lets others deploy again. */
export async function endJournal(host: Host, layout: Layout): Promise<void> {
  await host.check('rm -f "$1" "$2/.reserve"; sync "$2" 2>/dev/null || sync', {
    args: [layout.active, layout.folder],
  });
}

/** The deployment under way or left unfinished, if there is one. */
export async function readActive(host: Host, layout: Layout): Promise<Deployment | undefined> {
  const { exit, stdout } = await host.run('readlink "$1"', { args: [layout.active] });
  if (exit !== 0) return undefined;
  const id = /([0-9a-f-]{36})\.jsonl\s*$/.exec(stdout.toString())?.[1];
  return id === undefined ? undefined : await readJournal(host, layout, id, id);
}

/** The last deployments, newest first. */
export async function listDeployments(host: Host, layout: Layout): Promise<Deployment[]> {
  const text = await host.check(
    `cd "$1" 2>/dev/null || exit 0
readlink active || echo none
ls -1 journal | sort -r | head -n ${mostJournals}`,
    { args: [layout.folder] },
  );
  const [active = '', ...names] = text.toString().split('\n');
  const deployments: Deployment[] = [];
  for (const name of names) {
    const id = /^([0-9a-f-]{36})\.jsonl$/.exec(name)?.[1];
    if (id === undefined) continue;
    const read = await readJournal(host, layout, id, active.includes(id) ? id : undefined);
    if (read !== undefined) deployments.push(read);
  }
  return deployments;
}

export function stateOf({ lines, isActive }: Deployment): DeploymentState {
  const last = lines.findLast(({ step }) => step !== 'rollback');
  const undone = lines.findLast(({ step }) => step === 'rollback');
  if (undone?.event === 'ends') return 'rolled_back';
  if (undone?.event === 'begins') return 'unfinished';
  if (undone?.event === 'fails' && undone.details?.['isUnchanged'] !== true) {
    return 'rollback_failed';
  }
  // Not the last line alone: whoever was killed between it and the end of `active` has gone on from there.
  if (lines.some(({ step, event }) => step === 'end' && event === 'ends')) return 'deployed';
  if (last?.step === 'restart' && last.event === 'begins') return 'waiting_for_restart';
  return isActive ? 'unfinished' : 'rolled_back';
}

/** The release that the files of before were kept as, when it came to that. */
export function keptIn(lines: readonly JournalLine[]): string | undefined {
  const kept = lines.find(({ step, details }) => step === 'adopt' && details !== undefined);
  const release = kept?.details?.['kept'];
  return typeof release === 'string' ? release : undefined;
}

export function busy(plan: Plan | undefined): AppError {
  const what = plan === undefined ? 'A deployment' : `The deployment of ${plan.release}`;
  return new AppError('ext_busy', `${what} is under way, or was left unfinished`, {
    details: plan === undefined ? {} : { deployment: plan.id, release: plan.release },
    remedy:
      'If its process is gone: `centuria ext deploy --resume` goes on with it, ' +
      '`centuria ext rollback` takes it back.',
  });
}

async function readJournal(
  host: Host,
  layout: Layout,
  id: string,
  active: string | undefined,
): Promise<Deployment | undefined> {
  const bytes = await host.readFile(`${layout.journals}/${id}.jsonl`);
  const lines = bytes.toString().split('\n').flatMap(parsed);
  const plan = lines[0]?.details?.['plan'] as Plan | undefined;
  return plan === undefined ? undefined : { plan, lines, isActive: active === id };
}

/** A line that was cut short by a crash tells of nothing that happened. */
function parsed(line: string): JournalLine[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as JournalLine];
  } catch {
    return [];
  }
}

function now(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString();
}
