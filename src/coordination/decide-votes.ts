import type { ErrorRecord } from '../base/base.ts';
import { childPath, type Ended, type Standing, type Walk } from './walk.ts';
import type { Group, Voting } from './definition.ts';
import { nameOf } from './shape.ts';
import { taskEnded } from './state.ts';
import { tally, type Ballot, type Tally } from './voting.ts';

/**
 * Consensus and redundancy: all are asked, none sees another's answer, and nothing is counted before
 * all are in. A voter that fails is only a vote less.
 */
export function decideVotes(walk: Walk, path: string, group: Group): Standing {
  const { voting } = group;
  if (voting === undefined) throw new Error(`group ${path} has no voting`);
  const mode = group.mode === 'redundant' ? 'redundant' : 'consensus';
  const ballots = group.tasks.map((task): Ballot => {
    const voter = childPath(path, task);
    const own = walk.task(voter);
    const name = nameOf(task.id);
    if (own?.status === 'completed') return { task: voter, name, cast: { output: own.output } };
    return { task: voter, name, ...(own?.error === undefined ? {} : { error: own.error }) };
  });
  const open = group.tasks.filter(
    (task) => !taskEnded(walk.task(childPath(path, task))?.status ?? 'created'),
  );
  const cast = ballots.filter((ballot) => ballot.cast !== undefined).length;
  if (cast + open.length < voting.quorum) {
    const running = walk.runningIn(path);
    const error: ErrorRecord = {
      code: 'quorum_missed',
      message: `${path || 'the workflow'}: ${cast} of ${ballots.length} answered, ${voting.quorum} are needed`,
      retryable: true,
      details: {
        votes: ballots.map(({ task, error: why }) => ({ task, error: why?.message ?? null })),
      },
    };
    if (running > 0) return { failing: error, running };
    return { ended: { outcome: 'failed', error, verdict: tally(mode, voting, ballots) }, running };
  }
  if (open.length > 0) {
    const running = open.reduce((sum, task) => sum + walk.advance(childPath(path, task), task), 0);
    return { running };
  }
  const counted = tally(mode, voting, ballots);
  if (counted.chosen >= 0) return { ended: taken(walk, path, group, counted), running: 0 };
  if (mode === 'redundant') {
    // The results differ; that is reported, and the one with the most weight is taken.
    const first: Tally = { ...counted, chosen: 0, decidedBy: 'order' };
    return { ended: taken(walk, path, group, first), running: 0 };
  }
  return arbitrate(walk, path, group, voting, counted);
}

function taken(walk: Walk, path: string, group: Group, verdict: Tally): Ended {
  const output = verdict.answers[verdict.chosen]?.output;
  return {
    outcome: 'completed',
    output: group.output === undefined ? output : walk.resolveOutput(group.output, path),
    verdict,
  };
}

/** No agreement: an arbiter or a person decides, or the group fails. */
function arbitrate(
  walk: Walk,
  path: string,
  group: Group,
  { arbiter }: Voting,
  counted: Tally,
): Standing {
  // Without names and in an order that tells nothing about who said what.
  const choices = counted.answers.map(({ output }) => output);
  if (arbiter === 'person') return askPerson(walk, path, group, counted, choices);
  const why = `${path || 'the workflow'}: no answer has the agreed share of the weight; the best has ${percent(counted.answers[0]?.share)}`;
  const undecided: ErrorRecord = {
    code: 'no_consensus',
    message: why,
    retryable: true,
    remedy: 'Name an arbiter, lower `agreement`, or choose another `judge`.',
  };
  if (arbiter === undefined) {
    return { ended: { outcome: 'failed', error: undecided, verdict: counted }, running: 0 };
  }
  const arbiterPath = childPath(path, arbiter);
  const own = walk.task(arbiterPath);
  if (own?.status === 'completed') {
    const verdict: Tally = {
      ...counted,
      answers: [...counted.answers, { output: own.output, share: 0 }],
      chosen: counted.answers.length,
      decidedBy: 'arbiter',
    };
    return { ended: taken(walk, path, group, verdict), running: 0 };
  }
  if (own !== undefined && taskEnded(own.status)) {
    const error = own.error ?? undecided;
    return { ended: { outcome: 'failed', error, verdict: counted }, running: 0 };
  }
  return { running: walk.advance(arbiterPath, arbiter, { votes: choices }) };
}

function askPerson(
  walk: Walk,
  path: string,
  group: Group,
  counted: Tally,
  choices: readonly unknown[],
): Standing {
  const id = `${path || 'workflow'}?tie`;
  const asked = walk.answer(id);
  if (asked === undefined) {
    const prompt = `The votes of ${path || 'the workflow'} do not agree. Which answer is right?`;
    walk.facts.push({
      type: 'question.asked',
      question: { id, kind: 'tie', task: path, prompt, choices },
    });
    return { running: 0 };
  }
  const { answer } = asked;
  if (answer === undefined) return { running: 0 };
  if (answer.decision === 'approve' && choices[answer.choice ?? 0] !== undefined) {
    const verdict: Tally = { ...counted, chosen: answer.choice ?? 0, decidedBy: 'person' };
    return { ended: taken(walk, path, group, verdict), running: 0 };
  }
  const error: ErrorRecord = {
    code: 'no_consensus',
    message: `${answer.by ?? 'somebody'} took none of the answers${answer.comment === undefined ? '' : `: ${answer.comment}`}`,
    retryable: false,
  };
  return { ended: { outcome: 'failed', error, verdict: counted }, running: 0 };
}

function percent(share: number | undefined): string {
  return `${Math.round((share ?? 0) * 100)} %`;
}
