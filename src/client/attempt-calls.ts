/** Calls of other agents from within an attempt: what a program finds in its environment leads there. */
import { AppError, errorCodes, type ErrorCode } from '../base/base.ts';

export interface AttemptDoor {
  readonly url: string;
  readonly token: string;
}

export interface AttemptAnswer {
  /** The run of the call. */
  readonly runId: string;
  readonly output: unknown;
}

/** Undefined outside of an attempt, and in one whose agent may call nobody. */
export function attemptDoor(
  environment: Readonly<Record<string, string | undefined>>,
): AttemptDoor | undefined {
  const url = environment['CENTURIA_ATTEMPT_CALLS_URL'];
  const token = environment['CENTURIA_ATTEMPT_CALLS_TOKEN'];
  return url === undefined || token === undefined ? undefined : { url, token };
}

/** Calls an agent and waits; leaving cancels. Throws `delegation_refused` and what the agent failed with. */
export async function callFromAttempt(
  door: AttemptDoor,
  call: { readonly agent: string; readonly input: unknown; readonly signal?: AbortSignal },
): Promise<AttemptAnswer> {
  const response = await fetch(`${door.url}/agents/${encodeURIComponent(call.agent)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${door.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ input: call.input ?? null }),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  const body = (await response.json()) as AttemptAnswer & Problem;
  if (response.ok) return body;
  const code = Object.hasOwn(errorCodes, body.code) ? (body.code as ErrorCode) : 'agent_failed';
  throw new AppError(code, body.detail, {
    details: body.details ?? {},
    retryable: body.retryable,
    ...(body.remedy === undefined ? {} : { remedy: body.remedy }),
  });
}

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
  readonly remedy?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}
