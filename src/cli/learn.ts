import { InvalidArgumentError, Option, type Command } from 'commander';
import type { LearningStatusAnswer, PolicyPage } from '../api/api.ts';
import type { Client } from '../client/client.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { Exit } from './failure.ts';
import { addExamples } from './flags.ts';
import { registerRecommend } from './learn-recommend.ts';
import { registerStats } from './learn-stats.ts';
import { formatDuration, note, plural, printDocument } from './output.ts';
import { resolveRunId } from './run-ids.ts';

const modes = ['exploitation', 'balanced', 'exploration'] as const;
/** Below so many principals ratings move no choice. */
const enoughPrincipals = 3;
const lookEveryMs = 500;

/** `centuria learn`: which agent should do what, and how that is known. */
export function registerLearn(program: Command, context: CliContext): void {
  const group = program
    .command('learn')
    .description('Choose the agent for a task by what came of earlier ones.');
  registerRecommend(group, context);
  registerStats(group, context);
  registerFeedback(group, context);
  registerStatus(group, context);
  registerMode(group, context);
  registerRetrain(group, context);
}

function registerFeedback(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('feedback')
      .description('Rate what an agent gave; a later rating takes the place of an earlier one.')
      .argument('<run[/task]>', 'A run as elsewhere, and the path of a task where it has several.')
      .argument('<score>', '1 (useless) to 10.', score)
      .option('--comment <text>', 'Why.'),
    [
      ['The last run', 'centuria learn feedback latest 8'],
      [
        'One task of it',
        'centuria learn feedback latest/lint 3 --comment "missed the obvious one"',
      ],
    ],
  ).action(async (what: string, given: number, options: { comment?: string }) => {
    const client = connect(context);
    const [, run = what, task] = /^([^/]+)\/(.+)$/.exec(what) ?? [];
    const id = await resolveRunId(run, client.runs);
    const taken = await client.giveFeedback({
      run: id,
      score: given,
      ...(task === undefined ? {} : { task }),
      ...(options.comment === undefined ? {} : { comment: options.comment }),
    });
    printDocument(context, taken, ({ agent, score: said, principals }) => {
      const missing = enoughPrincipals - principals;
      const counts =
        missing > 0
          ? `It moves no choice until ${plural(missing, 'other principal', 'other principals')} rated this agent too.`
          : `${principals} principals have rated this agent: it counts.`;
      return `Taken: ${said} of 10 for ${agent}. ${counts}`;
    });
  });
}

function score(text: string): number {
  if (/^(?:[1-9]|10)$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes a whole number from 1 (useless) to 10.');
}

function registerStatus(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('status')
      .description(
        'Show what is recorded, how choices are made, and how well their confidence fits.',
      ),
    [['How far behind the record it is', 'centuria learn status -o json | jq .behind']],
  ).action(async () => {
    printDocument(context, await connect(context).learningStatus(), (status) =>
      renderStatus(status, context),
    );
  });
}

function renderStatus(status: LearningStatusAnswer, context: CliContext): string {
  const { choices, similarity, calibration, signing } = status;
  const average =
    choices.averageMs === undefined ? '' : `, ${choices.averageMs.toFixed(2)} ms each`;
  return renderFacts(context, [
    ['Mode', status.mode],
    ['Policy', `${status.policy}${status.fitting ? '; another one is being fitted' : ''}`],
    [
      'Record',
      `${plural(status.executions, 'attempt')}, ${plural(status.texts, 'text')}; ${status.behind} not read yet`,
    ],
    ['Embedder', `${status.embedder}; ${plural(status.unembedded, 'text')} to embed`],
    [
      'Similarity',
      similarity.reason === undefined
        ? similarity.kind
        : `${similarity.kind}: ${similarity.reason}`,
    ],
    ['Choices', `${choices.perSecond.toFixed(1)} a second${average}`],
    [
      'Calibration',
      calibration === undefined
        ? 'not known: no routed task has ended'
        : `Brier ${calibration.brier.toFixed(3)}, expected error ${calibration.expectedCalibrationError.toFixed(3)}, on ${plural(calibration.outcomes, 'outcome')}`,
    ],
    ['Signing', `unavailable: ${signing.reason}`],
  ]);
}

function registerMode(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('mode')
      .description('Show or set how much choices try out, for the whole fleet.')
      .addArgument(
        group
          .createArgument('[mode]', 'exploitation: the best known; exploration: find out more.')
          .choices(modes),
      ),
    [
      ['What is set', 'centuria learn mode'],
      ['Try nothing out', 'centuria learn mode exploitation'],
    ],
  ).action(async (mode: (typeof modes)[number] | undefined) => {
    const client = connect(context);
    const now = await (mode === undefined ? client.learningMode() : client.setLearningMode(mode));
    printDocument(context, now, (set) => set.mode);
  });
}

function registerRetrain(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('retrain')
      .description('Fit the choice anew. It is taken only when it is surely better.')
      .addOption(new Option('--wait', 'Wait for what comes of it; exit 1 unless it was fitted.')),
    [['And wait', 'centuria learn retrain --wait']],
  ).action(async (options: { wait?: true }) => {
    const client = connect(context);
    const before = new Set((await client.policies()).items.map(({ policy }) => policy));
    const begun = await client.retrainLearning();
    if (options.wait !== true) {
      printDocument(
        context,
        begun,
        () => 'Fitting has begun. See what came of it: centuria learn stats --policies',
      );
      return;
    }
    const fitted = await waitForPolicy(client, before, context);
    if (fitted === undefined) {
      note(context, 'No policy was fitted: centuria learn status, and the log of the server.');
      throw new Exit(1);
    }
    printDocument(context, fitted, ({ policy, state, reason = '' }) =>
      `Policy ${policy}: ${state}. ${reason}`.trim(),
    );
  });
}

type Policy = PolicyPage['items'][number];

/** The policy that was not there before; undefined when the fitting ended without one. */
async function waitForPolicy(
  client: Client,
  before: ReadonlySet<string>,
  context: CliContext,
): Promise<Policy | undefined> {
  const startedMs = context.clock.monotonicMs();
  let toldMs = startedMs;
  for (;;) {
    const { fitting } = await client.learningStatus();
    const { items } = await client.policies();
    const found = items.find(({ policy }) => !before.has(policy));
    if (found !== undefined && !fitting) return found;
    if (!fitting) return undefined;
    const nowMs = context.clock.monotonicMs();
    if (nowMs - toldMs >= 5_000) {
      note(context, `fitting for ${formatDuration(nowMs - startedMs)} …`);
      toldMs = nowMs;
    }
    await context.clock.sleep(lookEveryMs);
  }
}
