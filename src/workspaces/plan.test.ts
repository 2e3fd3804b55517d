import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry, Tree } from './entries.ts';
import { planTree, type Step } from './plan.ts';

const file = (content: string, mode = 0o644): Entry => ({
  kind: 'file',
  mode,
  uid: 0,
  gid: 0,
  sizeBytes: content.length,
  mtimeNs: '0',
  stamp: '',
  content,
});
const folder: Entry = { ...file('', 0o755), kind: 'folder' };

type Model = Readonly<Record<string, Entry>>;
const tree = (model: Model): Tree => new Map(Object.entries(model));

function step(before: Model, after: Model, assumed = false): Step {
  return { before: tree(before), after: tree(after), assumed };
}

/** The tree that a plan leads to. */
function carriedOut(
  steps: readonly Step[],
  current: Tree,
  force = false,
): { tree: Tree; conflicts: Record<string, string> } {
  const { changes, conflicts } = planTree(steps, current, [], force);
  const result = new Map(current);
  for (const { path, from, to } of changes) {
    expect(result.get(path)).toEqual(from);
    if (to === undefined) result.delete(path);
    else result.set(path, to);
  }
  return {
    tree: result,
    conflicts: Object.fromEntries(conflicts.map(({ path, reason }) => [path, reason])),
  };
}

const paths = ['a', 'b', 'c', 'd'] as const;
const model: fc.Arbitrary<Model> = fc.dictionary(
  fc.constantFrom(...paths),
  fc.constantFrom('1', '2', '3', '4').map((content) => file(content)),
);
/** What the folder held before the first attempt and after each: nobody else wrote. */
const history = fc.array(model, { minLength: 2, maxLength: 5 });

function stepsOf(models: readonly Model[]): Step[] {
  return models
    .slice(1)
    .map((after, index) => step(models[index] ?? {}, after))
    .toReversed();
}

test('undoing attempts leads to what the first one found, from wherever a crash left each path', () => {
  fc.assert(
    fc.property(history, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (models, picks) => {
      const [first = {}] = models;
      // Any path may be at any point of its own way back.
      const current = new Map<string, Entry>();
      for (const [index, path] of paths.entries()) {
        const entry = models[(picks[index] ?? 0) % models.length]?.[path];
        if (entry !== undefined) current.set(path, entry);
      }
      const touched = paths.filter((path) =>
        models.some((one) => one[path]?.content !== first[path]?.content),
      );
      const wanted = new Map(current);
      for (const path of touched) {
        const entry = first[path];
        if (entry === undefined) wanted.delete(path);
        else wanted.set(path, entry);
      }
      const once = carriedOut(stepsOf(models), current);
      expect(once).toEqual({ tree: wanted, conflicts: {} });
      expect(planTree(stepsOf(models), once.tree, [], false).changes).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});

test('what somebody else wrote since stays, and is named where an attempt wrote too', () => {
  fc.assert(
    fc.property(history, fc.subarray([...paths]), (models, theirs) => {
      const last = models.at(-1) ?? {};
      const current = new Map(Object.entries(last));
      for (const path of theirs) current.set(path, file('theirs'));
      const { tree: left, conflicts } = carriedOut(stepsOf(models), current);
      for (const path of theirs) expect(left.get(path)).toEqual(file('theirs'));
      const contents = (path: string) => new Set(models.map((one) => one[path]?.content));
      const expected = theirs.filter((path) => contents(path).size > 1);
      expect(Object.keys(conflicts).toSorted()).toEqual(expected.toSorted());
    }),
    { numRuns: 2_000 },
  );
});

test('force gives up what somebody else wrote, and says it is not the attempt’s own', () => {
  const steps = [step({ a: file('1') }, { a: file('2') })];
  const current = tree({ a: file('theirs') });
  expect(planTree(steps, current, [], true)).toMatchObject({
    changes: [{ path: 'a', to: file('1'), isOwn: false }],
    conflicts: [],
  });
});

test('what somebody wrote between two attempts comes back, not what was before both', () => {
  const steps = [
    step({ a: file('theirs') }, { a: file('3') }),
    step({ a: file('1') }, { a: file('2') }),
  ];
  const once = carriedOut(steps, tree({ a: file('3') }));
  expect(once.tree).toEqual(tree({ a: file('theirs') }));
  expect(once.conflicts).toEqual({ a: 'changed by somebody else between two attempts' });
  expect(carriedOut(steps, once.tree).tree).toEqual(once.tree);
  const forced = carriedOut(steps, once.tree, true);
  expect(forced.tree).toEqual(tree({ a: file('1') }));
  // Asked again without force, it stays undone.
  expect(carriedOut(steps, forced.tree)).toEqual({ tree: forced.tree, conflicts: {} });
});

test('an attempt that was undone before the next one began is passed over', () => {
  const steps = [
    step({ a: file('1') }, { a: file('3') }),
    step({ a: file('1') }, { a: file('2') }),
    step({ a: file('0') }, { a: file('1') }),
  ];
  expect(carriedOut(steps, tree({ a: file('3') }))).toEqual({
    tree: tree({ a: file('0') }),
    conflicts: {},
  });
});

test('a folder that an attempt made stays when somebody else put something into it', () => {
  const steps = [step({}, { made: folder, 'made/in': folder, 'made/in/own': file('1') })];
  const after = { made: folder, 'made/in': folder, 'made/in/own': file('1') };
  const current = tree({ ...after, 'made/in/theirs': file('2') });
  const once = carriedOut(steps, current);
  expect([...once.tree.keys()]).toEqual(['made', 'made/in', 'made/in/theirs']);
  expect(Object.keys(once.conflicts).toSorted()).toEqual(['made', 'made/in']);
  const left = [{ path: 'made/in/repository', why: 'repository' }] as const;
  expect(planTree(steps, tree(after), left, true).changes.map(({ path }) => path)).toEqual([
    'made/in/own',
  ]);
});

test('what comes back gets its folder back, unless something else is in its place', () => {
  const steps = [step({ f: folder, 'f/x': file('1') }, { f: folder })];
  expect(carriedOut(steps, tree({})).tree).toEqual(tree({ f: folder, 'f/x': file('1') }));
  expect(carriedOut(steps, tree({ f: file('theirs') }))).toEqual({
    tree: tree({ f: file('theirs') }),
    conflicts: { 'f/x': 'there is no folder for it any more' },
  });
});

test('between a folder and the file in its place there may be neither', () => {
  const steps = [step({ p: file('1') }, { p: folder, 'p/x': file('2') })];
  expect(carriedOut(steps, tree({}))).toEqual({ tree: tree({ p: file('1') }), conflicts: {} });
});
