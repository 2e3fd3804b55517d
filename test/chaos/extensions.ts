/**
 * `npm run chaos -- ext`: deployments of an extension, and the ways back, are disturbed at random moments.
 * Whatever they had come to, a backend that begins then must get the files of one release, and going on
 * or going back must end exactly where it would have without the disturbance.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLog, systemClock, toAppError } from '../../src/base/base.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { openTarget } from '../../src/ext/deploy/target.ts';
import { listDeployments, readActive } from '../../src/ext/release/journal.ts';
import { targetOf } from '../../src/ext/release/layout.ts';
import { lookAt } from '../../src/ext/release/live.ts';
import type { DeployerOptions } from '../support/ext-deployer.ts';
import {
  creating,
  openDeployments,
  plainly,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';
import { killTree } from '../support/kill-tree.ts';
import { randomFrom } from '../support/random.ts';
import { sshdUnavailable, startSshd } from '../support/sshd.ts';
import type { ChaosResult } from './run.ts';

export interface ExtChaosOptions {
  /** Kills; a quarter as many stops of the server and cuts of the connection. */
  readonly rounds: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** What is decided by the seed alone. */
interface Round {
  readonly undo: boolean;
  readonly goOn: boolean;
  readonly rehearse: boolean;
  /** Of the time that it takes undisturbed. */
  readonly share: number;
}

/** Does one thing, disturbs it, and returns when it is over; false when it had ended before. */
type Disturb = (on: Deployments, round: Round) => Promise<boolean>;

/** A release is looked for in the other one's place, too: what is there of both is a mix. */
const [older, newer] = ['1.0', '1.1'];
const patienceMs = 10_000;

/** One result a scenario. Each begins and ends with the older release, deployed and created. */
export async function extensionRounds(options: ExtChaosOptions): Promise<ChaosResult[]> {
  const { rounds, seed, say } = options;
  const reason = await extensionServerUnavailable();
  if (reason !== undefined) {
    return [{ chaos: 'ext', rounds: 0, seed, unavailable: reason, met: false }];
  }
  const few = Math.max(1, Math.ceil(rounds / 4));
  const on = await openDeployments([older, newer]);
  try {
    await deploy(on.target, on.bundle(older), creating);
    const run = (name: string, count: number, disturb: Disturb): Promise<ChaosResult> =>
      runRounds(on, { name, rounds: count, seed, say }, disturb);
    const usual = { do: await timed(on, false), undo: await timed(on, true) };
    const results = [await run('ext-kill-9', rounds, (_, round) => killed(on, round, usual))];
    // What one scenario has left behind would be counted against the next one.
    const isWell = (): boolean => results.every(({ problem }) => problem === undefined);
    if (isWell()) {
      const stopped: Disturb = (_, round) => serverStopped(on, round, usual);
      results.push(await run('ext-server-stopped', few, stopped));
    }
    if (isWell()) results.push(await cutRounds(run, few, usual, seed));
    return results.map((result) => ({ ...result, deployMs: usual.do, rollbackMs: usual.undo }));
  } finally {
    await on.stop();
  }
}

interface Usual {
  readonly do: number;
  readonly undo: number;
}

async function cutRounds(
  run: (name: string, count: number, disturb: Disturb) => Promise<ChaosResult>,
  rounds: number,
  usual: Usual,
  seed: number,
): Promise<ChaosResult> {
  const chaos = 'ext-ssh-cut';
  if (sshdUnavailable !== undefined) {
    return { chaos, rounds: 0, seed, unavailable: sshdUnavailable, met: false };
  }
  const sshd = await startSshd();
  try {
    return await run(chaos, rounds, async (on, { share, undo }) => {
      const { address } = on.server;
      const target = await openTarget(
        { host: sshd.to, address, stagingFolder: on.stagingFolder },
        { clock: systemClock, log: createLog({ level: 'silent' }), sshOptions: sshd.options },
      );
      // The parent of the shell is the part of sshd that serves this connection.
      const session = Number((await target.host.check('echo $PPID')).toString());
      const working = ended(
        undo
          ? rollBack(target, { actor: 'test' })
          : deploy(target, on.bundle(newer), { ...plainly, rehearse: false }),
      );
      await delay(share * (undo ? usual.undo : usual.do));
      process.kill(session, 'SIGKILL');
      const how = await working;
      await target.close();
      return how !== 'done';
    });
  } finally {
    await sshd.stop();
  }
}

/** The whole process, from when it begins to work to its end. */
async function timed(on: Deployments, undo: boolean): Promise<number> {
  const child = await begin(on, { undo, goOn: true, rehearse: false, share: 1 });
  const before = performance.now();
  if (child.exitCode === null) await once(child, 'exit');
  if (child.exitCode !== 0) throw new Error('an undisturbed deployment failed');
  return Math.round(performance.now() - before);
}

async function begin(on: Deployments, { undo, rehearse }: Round): Promise<ChildProcess> {
  const file = join(on.folder, 'deployer.json');
  const { server, stagingFolder } = on;
  const given: DeployerOptions = {
    address: server.address,
    stagingFolder,
    bundle: on.bundleFile(newer),
    rehearse,
    rollBack: undo,
    announces: true,
  };
  writeFileSync(file, JSON.stringify(given), { mode: 0o600 });
  const program = join(import.meta.dirname, '../support/ext-deployer.ts');
  const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const opened = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (!String(opened[0]).startsWith('opened')) throw new Error('a deployer did not begin');
  return child;
}

async function killed(on: Deployments, round: Round, usual: Usual): Promise<boolean> {
  const child = await begin(on, round);
  const over = once(child, 'close');
  // A rehearsal takes about as long again as all the rest, several times that on a busy machine.
  const longMs = round.undo ? usual.undo : usual.do * (round.rehearse ? 4 : 1);
  await delay(round.share * longMs);
  if (child.exitCode === null && child.pid !== undefined) killTree(child.pid);
  await over;
  return child.signalCode === 'SIGKILL';
}

async function serverStopped(on: Deployments, round: Round, usual: Usual): Promise<boolean> {
  const { undo, share, rehearse } = round;
  const working = ended(
    undo
      ? rollBack(on.target, { actor: 'test' })
      : deploy(on.target, on.bundle(newer), { ...plainly, rehearse }),
  );
  await delay(share * (undo ? usual.undo : usual.do));
  await on.server.restart({}, 'immediate');
  return (await working) !== 'done';
}

/** `done`, or the code of what it failed with. */
async function ended(working: Promise<unknown>): Promise<string> {
  return await working.then(
    () => 'done',
    (error: unknown) => toAppError(error).code,
  );
}

interface Scenario {
  readonly name: string;
  readonly rounds: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

async function runRounds(
  on: Deployments,
  { name, rounds, seed, say }: Scenario,
  disturb: Disturb,
): Promise<ChaosResult> {
  const random = randomFrom(seed);
  const counts = { disturbed: 0, older: 0, newer: 0, mixed: 0, wentOn: 0, wentBack: 0, inexact: 0 };
  const steps = new Map<string, number>();
  let problem: string | undefined;
  let count = 0;
  const before = await stateNow(on).catch((error: unknown) => {
    problem = `it can not begin: ${toAppError(error).message}`;
    return '';
  });
  while (count < rounds && problem === undefined) {
    const [how, onward, rehearsing, share] = [random(), random(), random(), random()];
    const undo = how < 1 / 3;
    const round = { undo, goOn: onward < 1 / 2, rehearse: !undo && rehearsing < 1 / 4, share };
    count += 1;
    try {
      if (undo) await deploy(on.target, on.bundle(newer), plainly);
      const known = await newestId(on, undo);
      if (await disturb(on, round)) counts.disturbed += 1;
      const release = await releaseOf(on);
      if (release === undefined) counts.mixed += 1;
      else counts[release === older ? 'older' : 'newer'] += 1;
      const step = await lastStep(on, known);
      steps.set(step, (steps.get(step) ?? 0) + 1);
      const wentOn = await finish(on, round);
      counts[wentOn ? 'wentOn' : 'wentBack'] += 1;
      say(
        `${name} ${count} of ${rounds}: ${undo ? 'rollback' : 'deploy'}, ${step}, ${release ?? 'MIXED'}`,
      );
      const after = await stateNow(on);
      if (after === before) continue;
      counts.inexact += 1;
      problem = `it began with\n${before}\nand ended with\n${after}`;
    } catch (error) {
      counts.inexact += 1;
      problem = toAppError(error).message;
    }
    problem = `round ${count} (${JSON.stringify(round)}): ${problem}\n${await journalsOf(on)}`;
  }
  if (problem !== undefined) say(`${name}: ${problem}`);
  return {
    chaos: name,
    rounds: count,
    seed,
    ...counts,
    lastSteps: [...steps].map(([step, times]) => `${step} ${times}`).join(', '),
    ...(problem === undefined ? {} : { problem }),
    met: problem === undefined && counts.mixed === 0 && counts.inexact === 0 && count === rounds,
  };
}

/** All that a round must leave as it found it: names and bytes, catalogue, sessions, journals. */
async function stateNow(on: Deployments): Promise<string> {
  const runs = await on.sql(whichRuns);
  const { findings, bundles } = await statusOf(on.target);
  const active = await readActive(on.target.host, on.target.layout);
  return JSON.stringify(
    { files: on.files(), runs, findings, drift: bundles.map(({ drift }) => drift), active },
    null,
    1,
  );
}

/**
 * The release whose bytes every name gives, and no name another one's; a new backend must run its library.
 * Undefined when there is none such.
 */
async function releaseOf(on: Deployments): Promise<string | undefined> {
  const { host, layout } = on.target;
  const filesOf = (release: string): Map<string, string> =>
    new Map(
      on
        .bundle(release)
        .metadata.files.filter(({ path }) => targetOf(layout, path) !== undefined)
        .map(({ path, sha256 }) => [path, sha256]),
    );
  const paths = [...new Set([older, newer].flatMap((release) => [...filesOf(release).keys()]))];
  const live = await lookAt(host, layout, paths);
  const found = [older, newer].filter((release) => {
    const wanted = filesOf(release);
    // A name of the other release that dangles gives nothing to anybody.
    return live.every(({ path, sha256 }) => sha256 === wanted.get(path));
  });
  const [seen] = (await on.sql('select counter_library() as library')) as { library: string }[];
  return found.length === 1 && found[0] === seen?.library ? found[0] : undefined;
}

/** What a reader of a problem asks first. */
async function journalsOf({ target }: Deployments): Promise<string> {
  const deployments = await listDeployments(target.host, target.layout);
  return deployments
    .slice(0, 3)
    .map(({ plan, lines, isActive }) => {
      const last = lines.slice(-4).map(({ at, step, event }) => `${at} ${step} ${event}`);
      const state = isActive ? ' (active)' : '';
      return `${plan.release} from ${plan.from ?? 'nothing'}${state}: ${last.join(', ')}`;
    })
    .join('\n');
}

/** Where the journal of this round ends; one that is `known` from before is another round's. */
async function lastStep({ target }: Deployments, known: string | undefined): Promise<string> {
  const [newest] = await listDeployments(target.host, target.layout);
  const last = newest?.lines.at(-1);
  return last === undefined || newest?.plan.id === known
    ? 'not begun'
    : `${last.step} ${last.event}`;
}

/** Of the deployment that is not this round's; a way back goes on in the journal of its deployment. */
async function newestId({ target }: Deployments, undo: boolean): Promise<string | undefined> {
  if (undo) return undefined;
  const [newest] = await listDeployments(target.host, target.layout);
  return newest?.plan.id;
}

const releasePrefix = (release: string): string => `centuria_counter-${release}-`;

/** Goes on with what was left, or back, until the older release is there. True: it went on. */
async function finish(on: Deployments, { undo, goOn }: Round): Promise<boolean> {
  const { target } = on;
  const left = await readActive(target.host, target.layout);
  const [newest] = await listDeployments(target.host, target.layout);
  const goesOn =
    goOn && !undo && left !== undefined && !left.lines.some(({ step }) => step === 'rollback');
  if (goesOn) {
    await patiently(() => deploy(target, on.bundle(newer), plainly));
    if ((await releaseOf(on)) !== newer) throw new Error('it went on, and the release is not live');
    const [seen] = (await on.sql(whichRuns)) as { sql: string }[];
    if (seen?.sql !== newer) throw new Error('it went on, and the catalogue is not updated');
  }
  const undone = newest?.lines.findLast(({ step }) => step === 'rollback');
  const isOlder = newest?.plan.release.startsWith(releasePrefix(older)) ?? true;
  // Whoever finds a way back that did not come to its end takes it again.
  if (left !== undefined || goesOn || (!isOlder && undone?.event !== 'ends')) {
    await patiently(() => rollBack(target, { actor: 'test' }));
  }
  return goesOn;
}

/** A session of whoever was killed holds its lock until the server has noticed. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      const { code, message } = toAppError(error);
      const passes = code === 'ext_busy' || /lock timeout/.test(message);
      if (!passes || performance.now() > deadline) throw error;
      await delay(50);
    }
  }
}
