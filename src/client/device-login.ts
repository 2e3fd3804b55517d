/** Signing in from a terminal: the device authorization grant (RFC 8628), and refreshing what it gave. */
import { AppError, type Clock } from '../base/base.ts';
import { connectionError, problemError, userAgent } from './transport.ts';

const clientId = 'centuria-cli';
/** What RFC 8628, 3.2 has when a server gives no interval, and what slow_down adds. */
const intervalSeconds = 5;
const longestIntervalSeconds = 60;

export interface DeviceLogin {
  readonly deviceCode: string;
  /** What the person types where `verificationUri` leads. */
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete: string | undefined;
  readonly expiresInSeconds: number;
  readonly intervalSeconds: number;
}

export interface LoginTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
}

export async function startDeviceLogin(server: string): Promise<DeviceLogin> {
  const answer = await post(server, '/oauth/device_authorization', { client_id: clientId });
  if ('error' in answer) throw refusal(server, answer);
  const uri = answer['verification_uri_complete'];
  return {
    deviceCode: textOf(server, answer, 'device_code'),
    userCode: textOf(server, answer, 'user_code'),
    verificationUri: textOf(server, answer, 'verification_uri'),
    verificationUriComplete: typeof uri === 'string' ? uri : undefined,
    expiresInSeconds: secondsOf(answer['expires_in'], 600),
    intervalSeconds: secondsOf(answer['interval'], intervalSeconds),
  };
}

/** Asks at the given interval until the person has decided. Throws `denied`, or `timeout` when the code is over. */
export async function awaitDeviceLogin(
  server: string,
  login: DeviceLogin,
  clock: Clock,
): Promise<LoginTokens> {
  const untilMs = clock.monotonicMs() + login.expiresInSeconds * 1_000;
  let waitSeconds = login.intervalSeconds;
  for (;;) {
    await clock.sleep(waitSeconds * 1_000);
    if (clock.monotonicMs() > untilMs) throw codeIsOver(server);
    let answer: Answer;
    try {
      answer = await post(server, '/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        device_code: login.deviceCode,
        client_id: clientId,
      });
    } catch (error) {
      // A server that restarts meanwhile keeps the code; asking ever more slowly is what RFC 8628, 3.5 says.
      if (!(error instanceof AppError) || !error.retryable) throw error;
      waitSeconds = Math.min(waitSeconds * 2, longestIntervalSeconds);
      continue;
    }
    if (!('error' in answer)) return tokensOf(server, answer);
    if (answer['error'] === 'slow_down') waitSeconds += intervalSeconds;
    else if (answer['error'] === 'expired_token') throw codeIsOver(server);
    else if (answer['error'] === 'access_denied') {
      throw new AppError('denied', 'the sign-in was refused in the browser');
    } else if (answer['error'] !== 'authorization_pending') throw refusal(server, answer);
  }
}

/** New tokens for a refresh token, which is used up. Throws `unauthenticated` when it counts no more. */
export async function refreshLogin(server: string, refreshToken: string): Promise<LoginTokens> {
  const answer = await post(server, '/oauth/token', {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: clientId,
  });
  if (!('error' in answer)) return tokensOf(server, answer);
  if (answer['error'] === 'invalid_grant') {
    throw new AppError('unauthenticated', `the login at ${server} has ended`, {
      remedy: `Sign in again: centuria login --server ${server}`,
    });
  }
  throw refusal(server, answer);
}

type Answer = Readonly<Record<string, unknown>>;

/** The fields of a good answer, or of an error of OAuth. Everything else is thrown. */
async function post(
  server: string,
  path: string,
  form: Readonly<Record<string, string>>,
): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`${server}${path}`, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { accept: 'application/json', 'user-agent': userAgent },
    });
  } catch (thrown) {
    throw connectionError(thrown, server);
  }
  const answer: unknown = await response
    .clone()
    .json()
    .catch(() => undefined);
  if (isRecord(answer)) {
    if (response.ok) return answer;
    if (typeof answer['error'] === 'string') return answer;
  }
  throw await problemError(response, server);
}

function tokensOf(server: string, answer: Answer): LoginTokens {
  return {
    accessToken: textOf(server, answer, 'access_token'),
    refreshToken: textOf(server, answer, 'refresh_token'),
    expiresInSeconds: secondsOf(answer['expires_in'], 60),
  };
}

function textOf(server: string, answer: Answer, field: string): string {
  const value = answer[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new AppError('unavailable', `${server} answered without ${field}`, { retryable: false });
}

function secondsOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value >= 0 ? value : otherwise;
}

function refusal(server: string, answer: Answer): AppError {
  const why = answer['error_description'];
  const text = `${String(answer['error'])}${typeof why === 'string' ? `: ${why}` : ''}`;
  return new AppError('denied', `${server} refuses the sign-in: ${text}`);
}

function codeIsOver(server: string): AppError {
  return new AppError('timeout', 'nobody entered the code in time', {
    remedy: `Begin again: centuria login --server ${server}`,
  });
}

function isRecord(value: unknown): value is Answer {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
