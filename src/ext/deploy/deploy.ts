/**
 * A deployment, step by step. Each step is written to the journal before it begins and after it has
 * ended, and can be done again: whoever finds the journal of a process that was killed goes on with it or
 * takes it back. What fails is taken back at once.
 */
import { AppError, toAppError } from '../../base/base.ts';
import type { DeploymentState, JournalLine, Plan, StepName } from '../deployment-types.ts';
import { append, beginJournal, busy, endJournal, keptIn, readActive } from '../release/journal.ts';
import type { Deployment } from '../release/journal.ts';
import { apply } from '../release/operations.ts';
import {
  keepLive,
  metadataOfLive,
  readMetadata,
  readSmoke,
  smokeByExtension,
  stage,
} from '../release/store.ts';
import { applyCatalogue } from '../server/catalogue.ts';
import { rehearse } from '../shadow/rehearse.ts';
import type { Bundle, ExtFinding, Metadata } from '../types.ts';
import type { PlanOptions } from './plan.ts';
import { takeBack } from './rollback.ts';
import { holdAgain, isBack, type Held } from './server-back.ts';
import { waysOf, type Ways } from './sides.ts';
import {
  limitsOf,
  lockName,
  planDeployment,
  sidesOf,
  type CatalogueOptions,
  type Target,
} from './target.ts';
import { verifyLive } from './verify.ts';

export interface DeployOptions extends PlanOptions, CatalogueOptions {
  /** In the private install on the target, before anything of the server is touched. Default true. */
  readonly rehearse?: boolean;
  /** For how long a catalogue update waits for others' locks; 5,000 by default. */
  readonly lockTimeoutMs?: number;
  /** Of one update script; 600,000 by default. */
  readonly statementTimeoutMs?: number;
  /** Run on the target when a preloaded library changes. */
  readonly restart?: () => Promise<void>;
  /**
   * For how long a server that went away is waited for, so that all can be taken back; 60,000 by default,
   * since one that recovers from a crash lets nobody in.
   */
  readonly serverBackMs?: number;
  /** Who deploys, for the record. */
  readonly actor: string;
  readonly onStep?: (step: StepName | 'rollback', event: JournalLine['event']) => void;
  readonly signal?: AbortSignal;
}

export interface Deployed {
  readonly plan: Plan;
  readonly state: Extract<DeploymentState, 'deployed' | 'waiting_for_restart'>;
  /** What the rehearsal and the verification had to say; none of it refuses. */
  readonly findings: readonly ExtFinding[];
  readonly wasResumed: boolean;
}

/** What `deploy` works with, once there is a plan. */
interface Way {
  readonly target: Target;
  readonly plan: Plan;
  readonly options: DeployOptions;
  readonly bundle: Bundle | undefined;
  /** Lines of the journal when it was found; empty for a deployment that begins. */
  readonly before: readonly JournalLine[];
  readonly findings: ExtFinding[];
  readonly held: Held;
}

/**
 * Deploys a bundle, or goes on with the deployment that was left unfinished when none is given.
 * Throws `ext_refused` before the first write, `ext_busy`, `ext_failed` (`details.state` says whether all
 * was taken back), `target_unreachable` (the journal on the target says how far it came).
 */
export async function deploy(
  target: Target,
  bundle: Bundle | undefined,
  options: DeployOptions,
): Promise<Deployed> {
  const { host, layout, server } = target;
  const held: Held = { lock: await server.lock(lockName(target)) };
  const begun = { target, options, findings: [], held };
  try {
    const left = await readActive(host, layout);
    if (bundle === undefined && left === undefined) {
      throw new AppError('not_found', 'there is no unfinished deployment to go on with', {
        remedy: 'Name the bundle that is to be deployed.',
      });
    }
    if (left !== undefined) {
      const isOther =
        bundle !== undefined && !left.plan.release.endsWith(bundle.digest.slice(0, 12));
      if (isOther) throw busy(left.plan);
      assertResumable(left, bundle);
      return await carryOut({ ...begun, plan: left.plan, bundle, before: left.lines });
    }
    if (bundle === undefined) throw new AppError('internal', 'nothing to deploy');
    const plan = await planDeployment(target, bundle, options);
    assertAllowed(plan.findings);
    if (isDone(plan)) {
      const message = `${plan.release} is live already: nothing was done`;
      const findings: ExtFinding[] = [{ level: 'note', rule: 'already-live', message }];
      return { plan, state: 'deployed', findings, wasResumed: false };
    }
    await beginJournal(host, layout, target.clock, plan);
    return await carryOut({ ...begun, plan, bundle, before: [] });
  } finally {
    await held.lock.release();
  }
}

function isDone({ release, from, adopted, added, changed, removed, catalogue }: Plan): boolean {
  const files = [...adopted, ...added, ...changed, ...removed];
  return (
    from === release && files.length === 0 && catalogue.every(({ action }) => action === 'none')
  );
}

/** Throws `ext_refused` with all that speaks against it when something does. */
export function assertAllowed(findings: readonly ExtFinding[]): void {
  const refusals = findings.filter(({ level }) => level === 'refuse');
  const [first] = refusals;
  if (first === undefined) return;
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
  throw new AppError('ext_refused', `${first.rule}: ${first.message}${more}`, {
    details: { findings: refusals },
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
  });
}

function assertResumable({ plan, lines }: Deployment, bundle: Bundle | undefined): void {
  if (lines.some((line) => line.step === 'rollback')) {
    throw new AppError('ext_busy', `the deployment of ${plan.release} was being taken back`, {
      details: { deployment: plan.id },
      remedy: 'Finish that first: centuria ext rollback.',
    });
  }
  const isStaged = hasEnded(lines, 'stage');
  if (isStaged || bundle !== undefined) return;
  throw new AppError('invalid_input', `${plan.release} was not brought to the target yet`, {
    remedy: 'Name its bundle again, or take it back: centuria ext rollback.',
  });
}

async function carryOut(way: Way): Promise<Deployed> {
  const { target, plan, before, findings } = way;
  const { host, layout } = target;
  try {
    await step(way, 'stage', async () => {
      if (way.bundle !== undefined) await stage(host, layout, way.bundle, way.options.signal);
    });
    const metadata = await readMetadata(host, layout, plan.release);
    await step(way, 'rehearse', () => rehearseOnTarget(way, metadata));
    const ways = await takenIn(way, metadata);
    await step(way, 'link', () => apply(host, plan.id, ways.link));
    await step(way, 'switch', () => apply(host, plan.id, ways.change));
    await step(way, 'prune', () => apply(host, plan.id, ways.prune));
    if (plan.needsRestart.length > 0 && !(await restarted(way))) {
      return { plan, state: 'waiting_for_restart', findings, wasResumed: before.length > 0 };
    }
    await step(way, 'catalogue', () => updateCatalogue(way, metadata));
    await step(way, 'verify', async () => {
      const found = await verifyLive(target, plan, metadata);
      findings.push(...found);
      assertAllowed(found);
    });
    await finish(way);
    return { plan, state: 'deployed', findings, wasResumed: before.length > 0 };
  } catch (thrown) {
    throw await failed(way, toAppError(thrown));
  }
}

function hasEnded(lines: readonly JournalLine[], name: StepName): boolean {
  return lines.some((line) => line.step === name && line.event === 'ends');
}

/** Does a step unless the journal says that it is done. */
async function step(way: Way, name: StepName, work: () => Promise<void>): Promise<void> {
  const { target, plan, options, before } = way;
  const { host, layout, clock } = target;
  if (hasEnded(before, name)) return;
  options.signal?.throwIfAborted();
  // Whoever lost the lock may no longer be the only one.
  way.held.lock.lost.throwIfAborted();
  await append(host, layout, clock, plan.id, { step: name, event: 'begins' });
  options.onStep?.(name, 'begins');
  await work();
  await append(host, layout, clock, plan.id, { step: name, event: 'ends' });
  options.onStep?.(name, 'ends');
}

async function rehearseOnTarget(way: Way, metadata: Metadata): Promise<void> {
  const { target, plan, options, findings } = way;
  if (options.rehearse === false) {
    findings.push({
      level: 'warn',
      rule: 'not-rehearsed',
      message: 'the rehearsal was left out, as asked',
    });
    return;
  }
  const { host, server, layout, facts, clock, log } = target;
  const state = await server.state();
  const rehearsal = await rehearse(host, {
    paths: facts.paths,
    major: facts.major,
    files: `${layout.releases}/${plan.release}`,
    removed: plan.removed,
    extensions: metadata.extensions,
    installed: state.installed,
    smoke: await readSmoke(host, layout, plan.release, metadata),
    preload: plan.needsRestart,
    // Data of another build of the server would not be its own.
    templateFolder: `${layout.folder}/rehearsal-${facts.serverSha256.slice(0, 12)}`,
    clock,
    log,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  findings.push(...rehearsal.findings);
  assertAllowed(rehearsal.findings);
}

/** Keeps what was there by hand, and says how to get from the one side to the other. */
async function takenIn(way: Way, metadata: Metadata): Promise<Ways> {
  const { target, plan, before } = way;
  const { host, layout, clock } = target;
  const from = plan.from === undefined ? undefined : await readMetadata(host, layout, plan.from);
  const paths = sidesOf(target, plan, metadata, from);
  if (plan.adopted.length === 0) return waysOf(layout, plan, paths, undefined);
  let kept = keptIn(before);
  await step(way, 'adopt', async () => {
    const version = await liveVersion(way, metadata);
    const live = metadataOfLive(metadata, plan.adopted.filter(isReadable), version);
    kept = await keepLive(host, layout, live, plan.adopted.filter(isReadable));
    // From here on there is something to be taken back.
    await append(host, layout, clock, plan.id, {
      step: 'adopt',
      event: 'begins',
      details: { kept },
    });
    await apply(host, plan.id, waysOf(layout, plan, paths, kept).adopt);
  });
  return waysOf(layout, plan, paths, kept);
}

const isReadable = ({ sha256 }: Plan['adopted'][number]): boolean => sha256 !== undefined;

/** What the control file that is there says, before it is replaced. */
async function liveVersion({ target }: Way, { extensions }: Metadata): Promise<string> {
  const [first] = extensions;
  const path = `${target.layout.paths.extensionFolder}/${first?.name ?? ''}.control`;
  const text = await target.host.readFile(path).catch(() => Buffer.from(''));
  return /^\s*default_version\s*=?\s*'([\w.+-]+)'/m.exec(text.toString())?.[1] ?? 'unknown';
}

/** Whether the server runs with the new files; false when it must be restarted by somebody else. */
async function restarted(way: Way): Promise<boolean> {
  const { target, plan, options, before } = way;
  const { host, layout, clock, server } = target;
  const { restart } = options;
  if (restart !== undefined) {
    await step(way, 'restart', async () => {
      await restart();
      await holdAgain(target, way.held);
    });
    return true;
  }
  const { startedAt } = await server.state();
  const waits = before.find(({ step: name, event }) => name === 'restart' && event === 'begins');
  if (waits === undefined) {
    // The server's own time, in its own words: the target's clock need not be ours.
    const details = { startedAt };
    await append(host, layout, clock, plan.id, { step: 'restart', event: 'begins', details });
    options.onStep?.('restart', 'begins');
    return false;
  }
  if (waits.details?.['startedAt'] === startedAt) return false;
  await step(way, 'restart', async () => undefined);
  return true;
}

async function updateCatalogue(way: Way, metadata: Metadata): Promise<void> {
  const { target, plan, options } = way;
  const { server, host, layout } = target;
  await applyCatalogue(server, plan.catalogue, {
    ...limitsOf(options),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    smoke: smokeByExtension(await readSmoke(host, layout, plan.release, metadata), metadata),
  });
}

async function finish(way: Way): Promise<void> {
  const { target, plan, options, before } = way;
  const { host, layout, clock, server } = target;
  await append(host, layout, clock, plan.id, { step: 'end', event: 'begins' });
  options.onStep?.('end', 'begins');
  const journal = await readActive(host, layout);
  await server.record(plan, {
    state: 'deployed',
    actor: options.actor,
    steps: journal?.lines ?? [],
  });
  if (!hasEnded(before, 'end')) {
    await append(host, layout, clock, plan.id, { step: 'end', event: 'ends' });
  }
  await endJournal(host, layout);
  options.onStep?.('end', 'ends');
}

/** Takes all back where the target can be reached, and says what state that leaves. */
async function failed(way: Way, error: AppError): Promise<AppError> {
  const { target, plan, options } = way;
  const { host, layout, clock } = target;
  const details = { ...error.details, deployment: plan.id };
  if (error.code === 'target_unreachable' && !(await isBack(target, way.held, options))) {
    return new AppError(error.code, `${error.message}; the deployment is unfinished`, {
      details: { ...details, state: 'unfinished' },
      remedy:
        'When the target is back: `centuria ext deploy --resume`, or `centuria ext rollback`.',
      cause: error,
    });
  }
  try {
    await append(host, layout, clock, plan.id, {
      step: 'end',
      event: 'fails',
      details: { message: error.message, code: error.code },
    });
    await takeBack(target, plan, options);
    return new AppError(
      error.code === 'cancelled' ? 'cancelled' : 'ext_failed',
      `${error.message}; all of it was taken back`,
      {
        details: { ...details, state: 'rolled_back' },
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        cause: error,
      },
    );
  } catch (thrown) {
    const second = toAppError(thrown);
    return new AppError(
      'ext_failed',
      `${error.message}; taking it back failed too: ${second.message}`,
      {
        details: { ...details, state: 'rollback_failed' },
        remedy: 'Mend what the second message says, then run `centuria ext rollback`.',
        cause: error,
      },
    );
  }
}
