/** One attempt of an agent that a model answers for: turns of answers and tools until the last message. */
import type { ModelMessage } from 'ai';
import { AppError, toAppError, type Clock } from '../../base/base.ts';
import type { Invocation, InvocationResult } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import { answerFormat, type AnswerFormat } from './model-answer.ts';
import { estimateTokens, ModelAccount } from './model-account.ts';
import type { ModelChoice } from './model-choice.ts';
import { createModel, streamStep, type StepCall, type StepResult } from './model-client.ts';
import { broken, providerError, type ErrorContext } from './model-errors.ts';
import { modelSpecOf, toolChoiceOf } from './model-spec.ts';
import { directoryOf, systemPrompt, taskMessage } from './model-task.ts';
import { callTool, modelTools, type ModelTool } from './model-tools.ts';
import type { Progress } from './progress.ts';

export interface ModelRunOptions {
  readonly invocation: Invocation;
  readonly choice: ModelChoice;
  readonly key: string | undefined;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly progress: Progress;
  /** Tools of the servers that its definition names. */
  readonly servers: readonly ModelTool[];
  /** The invocation's, and the end of its time. */
  readonly signal: AbortSignal;
}

const usualTurns = 20;
/** Room for thinking and an answer; more is asked for by `maxTokens`. */
const usualMaxTokens = 16_000;
/** Calls of tools that one answer may ask for. */
const maxCalls = 32;
/** Characters of what a failed attempt had written that are kept. */
const keptPartial = 65_536;

/** Throws `AgentFailure` with what it used and had written. */
export async function runModel(options: ModelRunOptions): Promise<InvocationResult> {
  const directory = await directoryOf(options.invocation);
  return new ModelRun(options, directory).run();
}

class ModelRun {
  readonly #options: ModelRunOptions;
  readonly #startedMs: number;
  readonly #format: AnswerFormat;
  readonly #tools: readonly ModelTool[];
  readonly #system: string;
  readonly #account: ModelAccount;
  readonly #model: ReturnType<typeof createModel>;
  readonly #messages: ModelMessage[] = [];
  /** All that it has written, whatever became of it. */
  #written = '';
  /** What the provider counted of the conversation, and bytes that came to it since. */
  #counted = 0;
  #newBytes: number;
  #isRepairing = false;
  #hasBegun = false;

  constructor(options: ModelRunOptions, directory: string | undefined) {
    const { invocation, choice, key, fetch, clock, progress, servers } = options;
    const { agent } = invocation;
    this.#options = options;
    this.#startedMs = clock.monotonicMs();
    this.#format = answerFormat(agent);
    this.#tools = modelTools(invocation, directory, servers);
    this.#system = systemPrompt(agent, directory, this.#format.instruction);
    this.#account = new ModelAccount(choice.price, invocation.budget);
    this.#model = createModel({
      choice,
      fetch,
      agent: agent.name,
      onWarning: (text) => progress.write(`${text}\n`),
      onAnswer: () => {
        this.#hasBegun = true;
      },
      ...(key === undefined ? {} : { key }),
      ...(this.#format.schema === undefined ? {} : { schema: this.#format.schema }),
    });
    const known = this.#tools.map(({ name, description, inputSchema }) => [
      name,
      description,
      inputSchema,
    ]);
    this.#newBytes = bytesOf(this.#system) + bytesOf(known);
    this.#say({ role: 'user', content: taskMessage(invocation) });
  }

  async run(): Promise<InvocationResult> {
    try {
      this.#tellMissing();
      const output = await this.#converse();
      return { output, usage: this.#usage() };
    } catch (thrown) {
      const { signal } = this.#options;
      // Who ends it says why; that is worth more than what the provider's client makes of it.
      const error = toAppError(signal.aborted ? signal.reason : thrown);
      const partial = this.#written.slice(-keptPartial);
      throw new AgentFailure(error, {
        usage: this.#usage(),
        ...(partial === '' ? {} : { partial }),
      });
    }
  }

  async #converse(): Promise<unknown> {
    const { invocation, progress } = this.#options;
    const { agent } = invocation;
    const field = agent.frontmatter['maxTurns'];
    const most = modelSpecOf(agent).maxTurns ?? (typeof field === 'number' ? field : usualTurns);
    for (let turn = 1; turn <= most; turn += 1) {
      const step = await this.#step();
      for (const message of step.messages) this.#messages.push(message);
      progress.write(`\nturn ${turn}: ${this.#account.tokens} tokens so far\n`);
      if (step.calls.length > 0) {
        await this.#callTools(step.calls);
        continue;
      }
      // Calls that could not be read were answered as such: the model tries again.
      if (step.finish === 'tool-calls') continue;
      this.#assertComplete(step);
      const read = this.#format.read(step.text);
      if ('value' in read) return read.value;
      this.#askAgain(read.problem);
    }
    throw this.#failure(
      `it had no answer after ${most} turns`,
      'Raise maxTurns, or give it less to do.',
    );
  }

  async #step(): Promise<StepResult> {
    const { choice, invocation, progress, signal } = this.#options;
    const spec = modelSpecOf(invocation.agent);
    const { effort } = invocation.agent.frontmatter;
    const input = this.#counted + estimateTokens(this.#newBytes);
    const wanted = spec.maxTokens ?? (choice.provider === 'anthropic' ? usualMaxTokens : undefined);
    const maxTokens = this.#account.allowance(input, wanted);
    if (maxTokens === 0)
      throw this.#overBudget('what is left of its budget does not pay for another answer');
    this.#hasBegun = false;
    const step = await streamStep({
      model: this.#model,
      choice,
      system: this.#system,
      messages: this.#messages,
      tools: this.#tools,
      maxTokens,
      temperature: spec.temperature,
      effort: typeof effort === 'string' ? effort : undefined,
      signal,
      onText: (text) => progress.write(text),
      onThinking: () => progress.write('\nthinking …\n'),
    });
    if (step.text !== '') this.#written += `${this.#written === '' ? '' : '\n\n'}${step.text}`;
    const problem = this.#problemOf(step);
    this.#count(step, input, problem);
    if (problem !== undefined) throw problem;
    if (step.finish === 'length' && maxTokens !== wanted) {
      throw this.#overBudget('its budget ended in the middle of an answer');
    }
    return step;
  }

  #problemOf(step: StepResult): AppError | undefined {
    const { signal } = this.#options;
    const context = this.#context(step);
    if (signal.aborted) return toAppError(signal.reason);
    if (step.problem !== undefined) return providerError(step.problem, context);
    const isCut = step.finish === undefined || step.finish === 'interrupted';
    return isCut ? broken(context, 'the answer was cut off') : undefined;
  }

  #count(step: StepResult, estimated: number, problem: AppError | undefined): void {
    const { usage } = step;
    if (usage !== undefined) {
      this.#account.add(usage);
      this.#counted = usage.input + usage.output;
      this.#newBytes = 0;
      return;
    }
    // What was refused costs nothing, also where the refusal came as the first event of an answer.
    if (!this.#hasBegun || problem?.code === 'agent_busy') return;
    this.#account.addUnknown(estimated, bytesOf(step.text));
    this.#counted = estimated;
    this.#newBytes = bytesOf(step.messages);
  }

  async #callTools(calls: readonly StepCall[]): Promise<void> {
    const results = await Promise.all(calls.map((call, index) => this.#callTool(call, index)));
    this.#say({ role: 'tool', content: results });
  }

  async #callTool({ id, name, input }: StepCall, index: number) {
    const { progress, signal } = this.#options;
    const tool = this.#tools.find((known) => known.name === name);
    const told = (text: string, failed: boolean) => ({
      type: 'tool-result' as const,
      toolCallId: id,
      toolName: name,
      output: { type: failed ? ('error-text' as const) : ('text' as const), value: text },
    });
    if (tool === undefined) return told(`there is no tool ${name}`, true);
    if (index >= maxCalls) return told(`more than ${maxCalls} calls in one answer`, true);
    progress.write(`\n→ ${name} ${tool.describe(input)}\n`);
    const { text, failed } = await callTool(tool, input, signal);
    if (failed) progress.write(`\n← ${name} failed: ${text.split('\n', 1)[0]}\n`);
    return told(text, failed);
  }

  /** Throws where the last message is none: cut at a limit, refused, or empty. */
  #assertComplete({ finish, rawFinish, text }: StepResult): void {
    const { choice } = this.#options;
    if (finish === 'content-filter') {
      throw this.#failure(`${choice.model} refused to answer (${rawFinish ?? finish})`);
    }
    if (finish === 'length') {
      throw this.#failure(
        `the answer did not end within the limit of tokens (${rawFinish ?? finish})`,
        'Raise maxTokens of its runtime, or give it less to do.',
      );
    }
    if (finish !== 'stop') throw this.#failure(`the answer ended with ${rawFinish ?? finish}`);
    if (text.trim() === '') throw broken(this.#context({ text }), 'the answer was empty');
  }

  /** Once: who answers wrong twice will again. */
  #askAgain(problem: string): void {
    const { agent } = this.#options.invocation;
    if (this.#isRepairing) {
      throw new AppError('agent_output_invalid', `agent ${agent.name}: of its answer, ${problem}`, {
        details: { agent: agent.name },
      });
    }
    this.#isRepairing = true;
    this.#options.progress.write(`\nasked again: ${problem}\n`);
    const content = `That is no valid answer: ${problem}. Answer again, with one JSON value that fits the schema and nothing else.`;
    this.#say({ role: 'user', content });
  }

  #say(message: ModelMessage): void {
    this.#messages.push(message);
    this.#newBytes += bytesOf(message);
  }

  #tellMissing(): void {
    const { invocation, progress } = this.#options;
    const { missing } = toolChoiceOf(invocation.agent.frontmatter);
    if (missing.length > 0) progress.write(`not offered here: ${missing.join(', ')}\n`);
  }

  #usage(): InvocationResult['usage'] {
    const wallMs = Math.round(this.#options.clock.monotonicMs() - this.#startedMs);
    return { wallMs, outputBytes: bytesOf(this.#written), ...this.#account.usage };
  }

  #context({ text }: { readonly text: string }): ErrorContext {
    const { choice, clock, invocation } = this.#options;
    const agent = invocation.agent.name;
    return { agent, choice, nowMs: clock.nowMs(), hadText: text !== '' };
  }

  #failure(why: string, remedy?: string): AppError {
    const { name } = this.#options.invocation.agent;
    return new AppError('agent_failed', `agent ${name}: ${why}`, {
      details: { agent: name, model: this.#options.choice.model },
      // The same request would come to the same end.
      retryable: false,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }

  #overBudget(why: string): AppError {
    const { agent, budget } = this.#options.invocation;
    return new AppError('budget_exceeded', `agent ${agent.name}: ${why}`, {
      details: { agent: agent.name, ...budget },
      remedy: 'Raise the budget of the task or the agent, or give it less to do.',
    });
  }
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value));
}
