/** Both sides of a plan, and the operations that lead from the one to the other. */
import type { Plan } from '../deployment-types.ts';
import type { Layout } from '../release/layout.ts';
import { adoption, moves, releaseText, type Side } from '../release/live.ts';
import type { Operation } from '../release/operations.ts';

export interface Ways {
  /** Only where files were there that no release of ours put there. */
  readonly adopt: readonly Operation[];
  readonly link: readonly Operation[];
  readonly change: readonly Operation[];
  readonly prune: readonly Operation[];
  /** Each as long as it is needed: all of them lead to what was there before, wherever they begin. */
  readonly back: readonly Operation[];
}

/** `adopted` is the release that the files of before were kept as. */
export function waysOf(
  layout: Layout,
  plan: Pick<Plan, 'bundle' | 'release' | 'from' | 'adopted'>,
  paths: { readonly before: readonly string[]; readonly after: readonly string[] },
  adopted: string | undefined,
): Ways {
  const { name } = plan.bundle;
  const release = adopted ?? plan.from;
  const after: Side = { release: plan.release, paths: paths.after };
  const before: Side = { paths: paths.before, ...(release === undefined ? {} : { release }) };
  const there = moves(layout, name, before, after);
  const back =
    release === undefined
      ? moves(layout, name, { ...after, paths: [...before.paths, ...after.paths] }, { paths: [] })
      : moves(layout, name, after, before);
  if (adopted === undefined) {
    return { adopt: [], ...there, back: [...back.link, ...back.change, ...back.prune] };
  }
  const { take, giveBack } = adoption(layout, name, adopted, plan.adopted);
  const pointer = `${layout.current}/${name}`;
  const last: Operation =
    plan.from === undefined
      ? { verb: 'unlink', target: pointer, text: releaseText(adopted) }
      : { verb: 'link', target: pointer, text: releaseText(plan.from) };
  return {
    adopt: take,
    ...there,
    back: [...back.link, ...back.change, ...back.prune, ...giveBack, last],
  };
}
