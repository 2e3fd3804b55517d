import { AppError, isId } from '../base/base.ts';
import type { Page, RunSummary } from '../coordination/coordination.ts';

const shortest = 6;
/** An older run has to be named in full. */
const searched = 5_000;
const pageSize = 500;

type List = (filter: { limit: number; cursor?: string }) => Promise<Page<RunSummary>>;

/** What the argument of a command that takes a run says. */
export const runArgument = 'Its id, six or more of the last characters, or latest.';

/** How a run is shown in tables: its last characters, since ids of one hour begin alike. */
export function shortId(id: string): string {
  return id.slice(-8);
}

/**
 * The id of the run that a person names: `latest`, a whole id, or six or more of its last
 * characters. Throws `run_not_found`, `conflict` when several fit, `usage` when it is none of these.
 */
export async function resolveRunId(text: string, list: List): Promise<string> {
  const wanted = text.toLowerCase();
  if (wanted === 'latest') {
    const id = (await list({ limit: 1 })).items[0]?.id;
    if (id !== undefined) return id;
    throw new AppError('run_not_found', 'there is no run yet', {
      remedy: 'Start one: centuria run start repo-review',
    });
  }
  if (isId(wanted)) return wanted;
  if (wanted.length < shortest || !/^[0-9a-f-]+$/.test(wanted)) {
    throw new AppError('usage', `${text} is no run id`, {
      remedy: `Give the whole id, its last ${shortest} or more characters, or latest.`,
    });
  }
  const found = await searchSuffix(wanted, list);
  const [id] = found;
  if (id === undefined) {
    throw new AppError('run_not_found', `no run ends with ${text}`, {
      remedy: `centuria run list shows them. A run before the newest ${searched} needs its whole id.`,
    });
  }
  if (found.length > 1) {
    throw new AppError('conflict', `${found.length} runs end with ${text}`, {
      details: { candidates: found },
      remedy: `Give more of it: ${found.slice(0, 5).join(', ')}.`,
    });
  }
  return id;
}

async function searchSuffix(suffix: string, list: List): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  for (let seen = 0; seen < searched; seen += pageSize) {
    const page = await list({ limit: pageSize, ...(cursor === undefined ? {} : { cursor }) });
    for (const { id } of page.items) if (id.endsWith(suffix)) found.push(id);
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  return found;
}
