/** The events of a run as lines for people: where nothing can be drawn, and for looking back. */
import type {
  Amounts,
  Answer,
  Passage,
  RunDetail,
  RunEvent,
  RunEventBody,
  TaskEventBody,
  Verdict,
} from '../coordination/coordination.ts';
import { formatDuration, oneLine, plural } from './output.ts';
import { shortId } from './run-ids.ts';
import { formatTokens, formatUsd } from './progress-cost.ts';
import { choiceText } from './progress-choice.ts';
import { taskEnded, wakes } from './progress.ts';

/** Through which doors an agent was called, with what is worth knowing of each. */
function viaText(via: readonly Passage[] | undefined): string {
  if (via === undefined || via.length === 0) return '';
  const said = { taken: '', other: ' (answered otherwise)', cancelled: ' (cancelled)' };
  return `, via ${via.map((each) => `${each.door}${each.outcome === 'failed' ? ` (${each.code ?? 'failed'})` : said[each.outcome]}`).join(' and ')}`;
}

/** One line for a transition after which the run is `after`; undefined for what is none. */
export function describeEvent(after: RunDetail, event: RunEvent): string | undefined {
  const { body } = event;
  if (body.type === 'attempt.progress' || body.type === 'workspace.prepared') return undefined;
  if (body.type === 'run.claimed' && !body.takeover) return undefined;
  const line = eventLine(event);
  if (body.type === 'run.completed') {
    return `run completed in ${formatDuration(Date.parse(event.at) - Date.parse(after.createdAt))}`;
  }
  if (body.type === 'question.asked')
    return `${line}; answer: centuria run approve ${shortId(after.id)}`;
  const isEnd =
    body.type === 'task.ended' ||
    body.type === 'task.skipped' ||
    body.type === 'attempt.succeeded' ||
    body.type === 'attempt.cancelled' ||
    (body.type === 'attempt.failed' && body.retryAt === undefined);
  return isEnd ? `${line}${doneOf(after)}` : line;
}

function doneOf({ taskList }: RunDetail): string {
  return ` (${taskList.filter(taskEnded).length} of ${taskList.length})`;
}

/** What an event says, in a line. */
export function eventLine({ body }: Pick<RunEvent, 'body'>): string {
  return 'task' in body ? taskLine(body) : runLine(body);
}

function runLine(body: RunEventBody): string {
  switch (body.type) {
    case 'run.created':
      return createdLine(body);
    case 'run.claimed':
      return body.takeover ? `taken over by ${body.worker}` : `taken up by ${body.worker}`;
    case 'run.released':
      return `let go: ${oneLine(body.reason)}${untilText(body.until)}`;
    case 'run.paused':
      return `paused${who(body.by)}: ${oneLine(body.reason)}`;
    case 'run.resumed':
      return `resumed${who(body.by)}`;
    case 'question.asked': {
      const { task, prompt, choices, lacking, id } = body.question;
      const about =
        choices === undefined ? '' : ` (${plural(choices.length, 'answer')} to choose from)`;
      const more = lacking === undefined ? '' : ` (lacking ${amountsText(lacking)})`;
      return `${task === '' ? 'the run' : task} asks: ${oneLine(prompt)}${about}${more} [${id}]`;
    }
    case 'question.answered':
      return answerLine(body.question, body.answer);
    case 'signal.received':
      return `signal ${body.name}${who(body.by)}: ${brief(body.data)}`;
    case 'run.stopping':
      return `stopping: ${oneLine(body.error.message)}`;
    case 'run.cancel_requested':
      return `cancelling${who(body.by)}: ${oneLine(body.reason)}`;
    case 'run.retried':
      return `retrying${who(body.by)}: ${listed(body.tasks)}`;
    case 'run.completed':
      return `run completed${howText(body.verdict)}: ${brief(body.output)}`;
    case 'run.failed':
      return `run failed: ${oneLine(body.error.message)} (${body.error.code})${howText(body.verdict)}`;
    case 'run.cancelled':
      return `run cancelled: ${oneLine(body.reason)}`;
    case 'run.undo_requested':
      return `undoing${who(body.by)}${body.force ? ', over what others have changed' : ''}`;
    case 'run.undone':
      return body.outcome === 'undone' ? 'undone' : 'not all of it could be undone';
    default:
      return unknownLine(body);
  }
}

function createdLine(body: Extract<RunEventBody, { type: 'run.created' }>): string {
  const { workflow, startedBy, forkedFrom, irreversible = [] } = body;
  const from =
    forkedFrom === undefined
      ? ''
      : `, forked from ${shortId(forkedFrom.runId)} at ${forkedFrom.task}`;
  const warning = irreversible.length === 0 ? '' : `; can't be undone: ${listed(irreversible)}`;
  return `created ${workflow}${who(startedBy)}${from}${warning}`;
}

function answerLine(question: string, { decision, choice, add, comment, by }: Answer): string {
  const parts = [
    `${decision === 'approve' ? 'approved' : 'rejected'}${who(by)} [${question}]`,
    ...(choice === undefined ? [] : [`answer ${choice}`]),
    ...(add === undefined ? [] : [`${amountsText(add)} more`]),
    ...(comment === undefined ? [] : [oneLine(comment)]),
  ];
  return parts.join(', ');
}

function taskLine(body: TaskEventBody): string {
  const task = body.task === '' ? 'the workflow' : body.task;
  const nth = 'attempt' in body && body.attempt > 1 ? `, attempt ${body.attempt}` : '';
  switch (body.type) {
    case 'task.started': {
      const items = body.items === undefined ? '' : `, ${plural(body.items.length, 'item')}`;
      const due = body.dueAt === undefined ? '' : `, until ${body.dueAt}`;
      return `started ${task}${items}${due}`;
    }
    case 'task.ended': {
      const why = body.error === undefined ? '' : `: ${oneLine(body.error.message)}`;
      return `${body.outcome} ${task}${why}${howText(body.verdict)}`;
    }
    case 'task.skipped':
      return `skipped ${task}: ${oneLine(body.reason)}`;
    case 'attempt.started': {
      const aside = amountsText(body.reserved ?? {});
      return `started ${task}${nth}${aside === '' ? '' : `, ${aside} set aside`}`;
    }
    case 'task.routed':
      return routedLine(body, task);
    case 'attempt.progress':
      return `${task}: ${oneLine(body.text)}`;
    case 'attempt.succeeded': {
      const { wallMs, tokens, microUsd } = body.usage;
      const cost = amountsText({
        ...(microUsd ? { microUsd } : {}),
        ...(tokens ? { tokens } : {}),
      });
      const vote = body.blind === true ? ', its vote is hidden until all are in' : '';
      return `completed ${task} in ${formatDuration(wallMs)}${cost === '' ? '' : ` for ${cost}`}${viaText(body.via)}${vote}`;
    }
    case 'attempt.failed': {
      const again = body.retryAt === undefined ? '' : '; will be tried again';
      return `failed ${task}, attempt ${body.attempt}: ${oneLine(body.error.message)}${viaText(body.via)}${again}`;
    }
    case 'attempt.deferred':
      return `put off ${task} until ${body.retryAt.slice(11, 19)}: ${oneLine(body.error.message)}`;
    case 'attempt.abandoned':
      return `abandoned ${task}, attempt ${body.attempt}: ${oneLine(body.reason)}`;
    case 'attempt.cancelled':
      return `cancelled ${task}${body.reason === undefined ? '' : `: ${oneLine(body.reason)}`}`;
    default:
      return effectLine(body, task);
  }
}

/** Who was chosen for a task, or stays with it. */
function routedLine(
  { agent, stays, decision }: Extract<TaskEventBody, { type: 'task.routed' }>,
  task: string,
): string {
  if (stays === true) return `${task} stays with ${agent}`;
  if (decision === undefined) return `chosen for ${task}: ${agent}`;
  const { success, basis, candidates } = decision;
  const evidence = decision.prospects.find((each) => each.agent === agent)?.evidence;
  const view = { of: candidates.length, basis, success: success.mean };
  return `chosen for ${task}: ${agent}${choiceText({ ...view, ...(evidence === undefined ? {} : { evidence }) })}`;
}

type EffectEvent = Extract<
  TaskEventBody,
  { type: 'workspace.prepared' | 'workspace.changed' | 'effect.undone' }
>;

function effectLine(body: EffectEvent, task: string): string {
  switch (body.type) {
    case 'workspace.prepared':
      return `kept the state of ${body.mark.folder} before ${task} (${body.mark.kind})`;
    case 'workspace.changed': {
      const { added, changed, removed, folder } = body.change;
      return `${task} changed ${folder}: ${added} added, ${changed} changed, ${removed} removed`;
    }
    case 'effect.undone':
      return body.error === undefined
        ? `undone ${task} (${body.how})`
        : `${task} was not undone (${body.how}): ${oneLine(body.error.message)}`;
    default:
      return unknownLine(body);
  }
}

/** An event of a newer server: all that is known is what it holds. */
function unknownLine(body: never): string {
  const { type, ...fields } = body as { readonly type: string };
  return `${type} ${brief(fields)}`;
}

function howText(verdict: Verdict | undefined): string {
  return verdict === undefined ? '' : `; ${verdictText(verdict)}`;
}

/** How a group came to its result, in half a sentence. */
export function verdictText(verdict: Verdict): string {
  if (verdict.mode === 'competitive') {
    const refused = verdict.refused.length === 0 ? '' : `, ${verdict.refused.length} refused`;
    return `${verdict.winner === undefined ? 'nobody won' : `won by ${verdict.winner}`}${refused}`;
  }
  if (verdict.mode === 'pipeline') {
    const dropped = verdict.dropped.length === 0 ? '' : `, ${verdict.dropped.length} dropped`;
    return `${verdict.completed} of ${plural(verdict.items, 'item')} through${dropped}`;
  }
  const { answers, chosen, decidedBy, elements } = verdict;
  if (elements !== undefined && chosen >= 0) {
    const taken = elements.filter((each) => each.taken).length;
    const alone = elements.filter(({ share }) => share < 1).length;
    return `${taken} of ${plural(elements.length, 'element')} taken, ${alone} not named by all`;
  }
  const share = answers[chosen]?.share;
  const weight = share === undefined || share === 0 ? '' : ` with ${Math.round(share * 100)} %`;
  return `${plural(answers.length, 'answer')}, decided by ${decidedBy}${weight}`;
}

/** `$0.50, 12k tokens, 30.0 s`. */
export function amountsText({ microUsd, tokens, ms }: Amounts): string {
  return [
    ...(microUsd === undefined ? [] : [formatUsd(microUsd)]),
    ...(tokens === undefined ? [] : [`${formatTokens(tokens)} tokens`]),
    ...(ms === undefined ? [] : [formatDuration(ms)]),
  ].join(', ');
}

function untilText(until: string | undefined): string {
  if (until === undefined) return '';
  return wakes(until) ? `, until ${until}` : ', until it is woken';
}

function who(by: string | undefined): string {
  return by === undefined ? '' : ` by ${by}`;
}

function listed(names: readonly string[]): string {
  const most = 8;
  const rest = names.length - most;
  return `${names.slice(0, most).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function brief(value: unknown): string {
  const text = oneLine(JSON.stringify(value) ?? 'nothing');
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
