import { agentsView, runsView } from './lists.js';
import { hasEnded, runView } from './run.js';
import { rate } from './run-rating.js';
import { ask, follow } from './server.js';

const redrawEveryMs = 250;
const shownEvents = 200;

export const runsPage = {
  name: 'runs',
  title: 'runs',
  async step(signal, page) {
    const runs = await ask('runs?limit=100', { signal });
    const workflows = runs.items.length === 0 ? (await ask('workflows', { signal })).items : [];
    page.draw(() => runsView(runs, workflows));
  },
};

export const agentsPage = {
  name: 'agents',
  title: 'agents',
  async step(signal, page) {
    const [agents, problems] = await Promise.all([
      ask('agents', { signal }),
      ask('agents/problems', { signal }),
    ]);
    page.draw(() => agentsView(agents, problems));
  },
};

/** One run; while it goes on, each of its events brings a fresh look at it. */
export function runPage(id) {
  const change = (action, body) => ask(`runs/${id}/${action}`, { method: 'POST', body });
  return {
    name: 'runs',
    title: 'run',
    step: watchRun(id),
    asks: {
      cancel: () => ({
        title: 'Cancel this run?',
        text: 'Attempts under way are stopped. What completed is kept, and the run can be retried.',
        yes: 'Cancel run',
      }),
      retry: () => ({
        title: 'Retry this run?',
        text: 'Tasks that failed, were cancelled or skipped are tried again. What completed is kept.',
        yes: 'Retry',
      }),
    },
    actions: {
      async approve({ data, page }) {
        await change('answer', {
          decision: 'approve',
          question: data.question,
          ...(data.choice === undefined ? {} : { choice: Number(data.choice) }),
          ...(data.add === undefined ? {} : { add: JSON.parse(data.add) }),
        });
        page.announce('Approved');
      },
      async reject({ data, page }) {
        await change('answer', { decision: 'reject', question: data.question });
        page.announce('Rejected');
      },
      async cancel({ page }) {
        await change('cancel', { reason: 'asked for in the browser' });
        page.announce('Cancellation asked for');
      },
      rate: (given) => rate(id, given),
      async retry({ page }) {
        await change('retry');
        page.announce('Retry asked for');
      },
    },
  };
}

function watchRun(id) {
  const events = [];
  let last = 0;
  let ending;
  const refresh = async (signal, page) => {
    const run = await ask(`runs/${id}`, { signal });
    page.draw(() => runView(run, events, page));
    const now = `${run.workflow} ${run.status}`;
    if (ending !== undefined && ending !== now) page.announce(now);
    ending = now;
    return run;
  };
  return async (signal, page) => {
    const run = await refresh(signal, page);
    const start = Math.max(last, run.lastSeq - shownEvents);
    if (hasEnded(run)) {
      if (run.lastSeq > last) {
        const found = await ask(`runs/${id}/events?after=${start}&limit=${shownEvents}`, {
          signal,
        });
        keep(found.items);
        page.redraw();
      }
      return;
    }
    const stop = new AbortController();
    const onLeave = () => stop.abort();
    signal.addEventListener('abort', onLeave);
    let changed = false;
    const tick = setInterval(() => {
      if (page.isResting()) stop.abort();
      else if (changed) {
        changed = false;
        refresh(stop.signal, page).then(
          () => page.contact(true),
          () => page.contact(false),
        );
      } else page.redraw();
    }, redrawEveryMs);
    try {
      await follow(
        id,
        start,
        (event) => {
          keep([event]);
          changed = true;
        },
        stop.signal,
      );
      await refresh(signal, page);
    } catch (error) {
      if (!stop.signal.aborted || signal.aborted) throw error;
    } finally {
      clearInterval(tick);
      stop.abort();
      signal.removeEventListener('abort', onLeave);
    }
  };

  function keep(items) {
    for (const event of items) {
      if (event.seq <= last) continue;
      last = event.seq;
      events.unshift(event);
    }
    events.length = Math.min(events.length, shownEvents);
  }
}
