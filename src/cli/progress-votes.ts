/** Consensus and redundancy as lines: one mark a voter while votes are hidden, then the answers beside each other. */
import type { TaskView, Verdict } from '../coordination/coordination.ts';
import { oneLine, plural, textWidth, truncate } from './output.ts';
import { bar } from './progress-cost.ts';
import { nameOf, taskLine, type GroupView, type Look, type TreeLine } from './progress-task.ts';
import { taskEnded } from './progress.ts';

type Tally = Extract<Verdict, { readonly votes: readonly unknown[] }>;

const mostVoters = 8;
const mostElements = 6;

/** Who decides when the voters do not agree is no voter. */
function votersOf({ children }: GroupView): TaskView[] {
  return children.filter(({ id }) => nameOf(id) !== 'arbiter');
}

/** `●●◐○ 2 of 4 in, hidden until all are`, or how it was decided. */
export function voteSummary(group: GroupView): string {
  const tally = tallyOf(group);
  if (tally !== undefined) return decision(tally);
  const voters = votersOf(group);
  const marks = voters.map(voterMark).join('');
  const cast = voters.filter(({ status }) => status === 'completed').length;
  const isOpen = voters.some((voter) => !taskEnded(voter));
  const more = isOpen
    ? group.mode === 'consensus'
      ? ', hidden until all are'
      : ''
    : ', undecided';
  return `${marks} ${cast} of ${voters.length} in${group.isOver ? '' : more}`;
}

function voterMark(voter: TaskView): string {
  if (voter.status === 'completed') return '●';
  if (taskEnded(voter)) return '✗';
  return voter.status === 'created' ? '○' : '◐';
}

function tallyOf({ verdict }: GroupView): Tally | undefined {
  return verdict !== undefined && 'votes' in verdict ? verdict : undefined;
}

function decision({ chosen, decidedBy, votes, elements }: Tally): string {
  const how = {
    agreement: 'agreed',
    order: 'by order',
    arbiter: 'by the arbiter',
    person: 'by a person',
    nobody: 'not decided',
  }[decidedBy];
  if (elements !== undefined) {
    return `${how}: ${elements.filter(({ taken }) => taken).length} of ${plural(elements.length, 'element')} taken`;
  }
  const backers = votes.filter(({ answer }) => answer === chosen).length;
  return chosen < 0 ? how : `${how}: ${backers} of ${plural(votes.length, 'vote')}`;
}

export function voteLines(group: GroupView, depth: number, look: Look): TreeLine[] {
  const tally = tallyOf(group);
  const arbiter = group.children
    .filter(({ id, startedAt }) => nameOf(id) === 'arbiter' && startedAt !== undefined)
    .map((task) => taskLine(task, depth, look));
  if (tally !== undefined) return [...answerLines(tally, depth, look), ...arbiter];
  const voters = votersOf(group);
  const lines = voters.length > mostVoters ? [] : voters.map((task) => taskLine(task, depth, look));
  // The workflow itself has no line of its own that could hold the marks.
  const head = group.id === '' ? [plainLine(depth, 'votes', voteSummary(group))] : [];
  return [...head, ...lines, ...arbiter];
}

function plainLine(depth: number, name: string, text: string, mark = ' '): TreeLine {
  return {
    depth,
    mark,
    name,
    status: mark === ' ' ? 'running' : 'completed',
    rest: (room) => truncate(text, room),
  };
}

/** The different answers with their weight and who stands behind them; what was not taken is dissent. */
function answerLines(tally: Tally, depth: number, look: Look): TreeLine[] {
  const { colours } = look;
  const lines = tally.answers.map(({ output, share }, index): TreeLine => {
    const isTaken = index === tally.chosen;
    const backers = tally.votes.filter(({ answer }) => answer === index);
    const names = backers.map(({ task }) => nameOf(task)).join(', ');
    return {
      depth,
      mark: isTaken ? colours.green('✓') : colours.yellow('≠'),
      name: `answer ${letter(index)}`,
      status: 'completed',
      rest: (room) => shareLine(share, names || 'arbiter', output, room),
    };
  });
  const none = tally.votes
    .filter(({ answer }) => answer === -1)
    .map(({ task, error }) =>
      plainLine(
        depth,
        nameOf(task),
        `gave no answer${error === undefined ? '' : `: ${oneLine(error.message)}`}`,
        colours.red('✗'),
      ),
    );
  return [...lines, ...elementLines(tally, depth, look), ...none];
}

function elementLines({ elements = [] }: Tally, depth: number, { colours }: Look): TreeLine[] {
  // What all agree on tells least: those that were contested are shown first.
  const ordered = elements.toSorted((a, b) => Number(a.share === 1) - Number(b.share === 1));
  const shown = ordered.slice(0, mostElements).map(({ element, share, taken }): TreeLine => ({
    depth: depth + 1,
    mark: taken ? colours.green('+') : colours.dim('-'),
    name: taken ? 'taken' : 'left out',
    status: 'completed',
    rest: (room) => shareLine(share, '', element, room),
  }));
  const rest = elements.length - shown.length;
  return rest > 0
    ? [...shown, plainLine(depth + 1, '', `… ${plural(rest, 'element')} more`)]
    : shown;
}

function shareLine(share: number, names: string, output: unknown, room: number): string {
  const percent = `${Math.round(share * 100)} %`.padStart(5);
  const drawn = room < 40 ? '' : ` ${bar(share, 8)}`;
  const value = oneLine(JSON.stringify(output) ?? 'nothing');
  const who = names === '' ? '' : `  ${truncate(names, Math.max(8, Math.floor(room / 3)))}`;
  const head = `${percent}${drawn}${who}`;
  return truncate(`${head}  ${truncate(value, Math.max(0, room - textWidth(head) - 2))}`, room);
}

function letter(index: number): string {
  return index < 26 ? String.fromCodePoint(65 + index) : String(index + 1);
}
