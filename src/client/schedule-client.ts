/** Schedules, failures and what is forgotten, for the typed client: one function an operation. */
import type { Send } from './send.ts';
import type {
  FailurePage,
  FirePage,
  NewScheduleBody,
  RetryFailuresRequest,
  RunPage,
  SchedulePage,
} from '../api/api.ts';
import type {
  FailureGroup,
  Fire,
  PruneReport,
  RetriedFailures,
  Schedule,
  SchedulePlan,
} from '../coordination/coordination.ts';
import type { PageOptions } from './identity-client.ts';
import { query } from './query.ts';

export function scheduleClient(send: Send) {
  return {
    /** One page by name; `limit` 1 to 500, default 50. */
    schedules: (page: PageOptions = {}) =>
      send<SchedulePage>('GET', `/api/v1/schedules${query({ ...page })}`),
    schedule: (name: string) => send<Schedule>('GET', schedulePath(name)),
    scheduleFires: (name: string, page: PageOptions = {}) =>
      send<FirePage>('GET', `${schedulePath(name)}/fires${query({ ...page })}`),
    /** When it would fire; nothing is made. */
    planSchedule: (body: NewScheduleBody) =>
      send<SchedulePlan>('POST', '/api/v1/schedules?plan=true', body),
    createSchedule: (body: NewScheduleBody) => send<Schedule>('POST', '/api/v1/schedules', body),
    pauseSchedule: (name: string) => send<Schedule>('POST', `${schedulePath(name)}/pause`),
    resumeSchedule: (name: string) => send<Schedule>('POST', `${schedulePath(name)}/resume`),
    deleteSchedule: (name: string) => send<undefined>('DELETE', schedulePath(name)),
    runSchedule: (name: string) => send<Fire>('POST', `${schedulePath(name)}/run`),

    /** One page, the latest first; `limit` 1 to 500, default 50. */
    failures: (filter: PageOptions & { readonly dismissed?: boolean } = {}) =>
      send<FailurePage>('GET', `/api/v1/failures${query({ ...filter })}`),
    failure: (fingerprint: string) => send<FailureGroup>('GET', failurePath(fingerprint)),
    failureRuns: (fingerprint: string, filter: PageOptions & { readonly workflow?: string } = {}) =>
      send<RunPage>('GET', `${failurePath(fingerprint)}/runs${query({ ...filter })}`),
    retryFailures: (fingerprint: string, body: RetryFailuresRequest = {}) =>
      send<RetriedFailures>('POST', `${failurePath(fingerprint)}/retry`, body),
    dismissFailure: (fingerprint: string) =>
      send<FailureGroup>('POST', `${failurePath(fingerprint)}/dismiss`),
    pruneRuns: (olderThanDays: number, plan: boolean) =>
      send<PruneReport>('POST', `/api/v1/runs/prune${query({ plan })}`, { olderThanDays }),
  };
}

function schedulePath(name: string): string {
  return `/api/v1/schedules/${encodeURIComponent(name)}`;
}

function failurePath(fingerprint: string): string {
  return `/api/v1/failures/${encodeURIComponent(fingerprint)}`;
}
