/** What the end of a session means here. */
import { AppError, redact } from '../../base/base.ts';
import type { ChildEnd } from './child.ts';
import type { ClaudeRetry, ClaudeStream } from './claude-code-stream.ts';

const shownCharacters = 500;
/** Asking again later may help. */
const busyStatuses = new Set([429, 503, 529]);
/** The same request is refused in the same way. */
const hopelessStatuses = new Set([400, 404, 413, 422]);

/** Why a session that ended by itself failed; undefined when it did not. */
export function sessionError(
  agent: string,
  stream: Pick<ClaudeStream, 'result' | 'malformed' | 'lastRetry'>,
  end: Pick<ChildEnd, 'exitCode' | 'stderr'>,
): AppError | undefined {
  const { result } = stream;
  if (result === undefined) return cutError(agent, stream, end);
  const said = shortened(result.text === '' ? result.errors.join('; ') : result.text);
  if (!result.isError && result.subtype === 'success') {
    if (end.exitCode === 0) return undefined;
    const what = `Claude Code told of a success and ended with exit status ${end.exitCode}`;
    return failed(agent, what, true, { exit: end.exitCode });
  }
  if (result.apiStatus !== undefined) {
    return apiError(agent, { status: result.apiStatus, delayMs: stream.lastRetry?.delayMs }, said);
  }
  const { denied } = result;
  const details = { reason: result.subtype, ...(denied.length === 0 ? {} : { denied }) };
  const more = denied.length === 0 ? '' : `; it might not use ${denied.join(', ')}`;
  switch (result.subtype) {
    case 'error_max_turns':
      return failed(agent, `it was not done after its turns${more}`, true, details, {
        remedy: 'Raise maxTurns, or give it less to do.',
      });
    case 'error_max_budget_usd':
      return overBudget(agent, `it has used up its money (${said})${more}`);
    case 'error_max_structured_output_retries':
      return new AppError(
        'agent_output_invalid',
        `agent ${agent}: no answer of it fitted its schema${more}`,
        { details: { agent, ...details } },
      );
  }
  return failed(agent, `${said === '' ? result.subtype : said}${more}`, true, details);
}

/** What a refusal of the API is, also one that Claude Code would wait for by itself. */
export function apiError(agent: string, { status, delayMs }: ClaudeRetry, said = ''): AppError {
  const details = { agent, ...(status === undefined ? {} : { status }) };
  const words = said === '' ? `it answered ${status}` : said;
  if (status !== undefined && busyStatuses.has(status)) {
    const why = status === 429 ? 'asks to be called less often' : 'is overloaded';
    return new AppError('agent_busy', `agent ${agent}: the provider ${why}: ${words}`, {
      details: { ...details, ...(delayMs === undefined ? {} : { retryAfterMs: delayMs }) },
    });
  }
  if (status === 401 || status === 403) {
    return failed(agent, 'the provider refused the key or the login', false, details, {
      remedy: 'Put another key there, or log in again: claude auth login.',
    });
  }
  const isHopeless = status !== undefined && hopelessStatuses.has(status);
  return failed(agent, `the provider failed: ${words}`, !isHopeless, details);
}

export function overBudget(agent: string, why: string): AppError {
  return new AppError('budget_exceeded', `agent ${agent}: ${why}`, {
    details: { agent },
    remedy: 'Raise the budget of the task or the agent, or give it less to do.',
  });
}

/** Its output broke off. What it could not begin with it says on standard error. */
function cutError(
  agent: string,
  { malformed }: Pick<ClaudeStream, 'malformed'>,
  { exitCode, stderr }: Pick<ChildEnd, 'exitCode' | 'stderr'>,
): AppError {
  const said = shortened(stderr);
  const lines = malformed === 0 ? '' : `, after ${malformed} lines that are none of its protocol`;
  const what = `Claude Code ended with exit status ${exitCode} and without a result${lines}`;
  return failed(agent, said === '' ? what : `${what}: ${said}`, true, {
    exit: exitCode,
    ...(malformed === 0 ? {} : { malformed }),
  });
}

function failed(
  agent: string,
  why: string,
  retryable: boolean,
  details: Readonly<Record<string, unknown>>,
  more: { readonly remedy?: string } = {},
): AppError {
  return new AppError('agent_failed', `agent ${agent}: ${why}`, {
    details: { agent, ...details },
    retryable,
    ...more,
  });
}

function shortened(text: string): string {
  const line = redact(text.replace(/\s+/g, ' ').trim());
  return line.length > shownCharacters ? `${line.slice(0, shownCharacters)}…` : line;
}
