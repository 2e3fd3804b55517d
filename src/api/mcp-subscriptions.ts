import type { ServerEventBus } from '@modelcontextprotocol/server';
import type { RunDetail } from '../coordination/coordination.ts';
import type { Caller } from '../identity/identity.ts';
import type { CallOperation } from './mcp-operations.ts';
import { runOfUri } from './mcp-resources.ts';
import { assertSpeaksTasks, capabilitiesKey, type ClientCapabilities } from './mcp-tasks.ts';
import type { RouteParts } from './parts.ts';

/** Of one stream: each follows the events of a run. */
const mostWatched = 50;

/**
 * Throws -32021 for a client that asks for `notifications/tasks` and has no Tasks. Who has them may ask,
 * and is told in the acknowledgement that none are sent.
 */
export function assertMaySubscribe(body: unknown): void {
  if (notificationsOf(body)?.taskIds === undefined) return;
  const { params } = body as { readonly params: { readonly _meta?: Record<string, unknown> } };
  // oxlint-disable-next-line no-underscore-dangle -- The protocol names it so.
  assertSpeaksTasks(params._meta?.[capabilitiesKey] as ClientCapabilities | undefined);
}

function notificationsOf(body: unknown) {
  const { method, params } = (body ?? {}) as {
    readonly method?: unknown;
    readonly params?: {
      readonly notifications?: { readonly resourceSubscriptions?: unknown; taskIds?: unknown };
    };
  };
  return method === 'subscriptions/listen' ? params?.notifications : undefined;
}

/** What one stream of `subscriptions/listen` may hear of. */
export interface Watched {
  readonly uri: string;
  readonly runId: string;
  readonly workflow: string;
  readonly after: number;
}

/**
 * Narrows a `subscriptions/listen` to the runs that the caller may read, so that the acknowledgement
 * names those only. Any other request is left as it is.
 */
export async function narrowSubscription(
  call: CallOperation,
  body: unknown,
): Promise<{ readonly body: unknown; readonly watched: readonly Watched[] }> {
  const asked = notificationsOf(body);
  const uris = asked?.resourceSubscriptions;
  if (!Array.isArray(uris)) return { body, watched: [] };
  const distinct = [...new Set(uris.filter((uri) => typeof uri === 'string'))];
  const found = await Promise.all(distinct.slice(0, mostWatched).map((uri) => look(call, uri)));
  const watched = found.filter((one) => one !== undefined);
  const notifications = { ...asked, resourceSubscriptions: watched.map(({ uri }) => uri) };
  const { params } = body as { readonly params: object };
  return { body: { ...(body as object), params: { ...params, notifications } }, watched };
}

async function look(call: CallOperation, uri: string): Promise<Watched | undefined> {
  const runId = runOfUri(uri);
  if (runId === undefined) return undefined;
  const { status, document } = await call('getRun', { params: { id: runId } });
  if (status !== 200) return undefined;
  const { id, workflow, lastSeq } = document as RunDetail;
  return { uri, runId: id, workflow, after: lastSeq };
}

/**
 * The source of the changes of one stream: follows its runs for as long as somebody listens and the
 * caller may read them; `onRefused` is called when he may no longer.
 */
export function runChanges(
  { coordination, identity, log }: Pick<RouteParts, 'coordination' | 'identity' | 'log'>,
  caller: Caller,
  watched: readonly Watched[],
  onRefused: () => void,
): ServerEventBus {
  return {
    // The source is of one stream, which publishes nothing itself.
    publish: () => undefined,
    subscribe(listener) {
      const left = new AbortController();
      const follow = async ({ uri, runId, after }: Watched): Promise<void> => {
        try {
          for await (const _ of coordination.follow(runId, after, left.signal)) {
            listener({ kind: 'resource_updated', uri });
          }
        } catch (error) {
          if (!left.signal.aborted) log.warn({ err: error, run: runId }, 'a subscription ended');
        }
      };
      const unwatch = watched.map(({ workflow }) =>
        identity.callers.watch(caller, { action: 'runs.read', resource: workflow }, onRefused),
      );
      for (const one of watched) void follow(one);
      return () => {
        left.abort();
        for (const end of unwatch) end();
      };
    },
  };
}
