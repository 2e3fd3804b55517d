/** Cycles and layers of a directed graph of names. */

export type Graph = ReadonlyMap<string, readonly string[]>;

/**
 * Strongly connected components in reverse topological order: a component comes after those it leads
 * to. R. Tarjan, "Depth-first search and linear graph algorithms", 1972, with the stack kept by hand.
 */
export function components(graph: Graph): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  const found: string[][] = [];
  const start = (node: string): Visit => {
    order.set(node, order.size);
    lowest.set(node, order.size - 1);
    open.push(node);
    isOpen.add(node);
    return { node, next: 0 };
  };
  for (const root of graph.keys()) {
    if (order.has(root)) continue;
    const visits = [start(root)];
    for (let visit = visits.at(-1); visit !== undefined; visit = visits.at(-1)) {
      const target = graph.get(visit.node)?.[visit.next];
      visit.next += 1;
      if (target !== undefined) {
        if (!order.has(target)) visits.push(start(target));
        else if (isOpen.has(target)) lower(lowest, visit.node, order.get(target));
        continue;
      }
      visits.pop();
      const parent = visits.at(-1);
      if (parent !== undefined) lower(lowest, parent.node, lowest.get(visit.node));
      if (lowest.get(visit.node) !== order.get(visit.node)) continue;
      const component = open.splice(open.lastIndexOf(visit.node));
      for (const node of component) isOpen.delete(node);
      found.push(component);
    }
  }
  return found;
}

interface Visit {
  readonly node: string;
  next: number;
}

function lower(lowest: Map<string, number>, node: string, to: number | undefined): void {
  const now = lowest.get(node);
  if (to !== undefined && (now === undefined || to < now)) lowest.set(node, to);
}

/** The shortest way from `start` back to itself inside `component`, `start` first and not repeated. */
export function shortestCycle(graph: Graph, component: readonly string[], start: string): string[] {
  const inside = new Set(component);
  const before = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const target of graph.get(node) ?? []) {
      if (target === start) return wayTo(node, before);
      if (!inside.has(target) || before.has(target)) continue;
      before.set(target, node);
      queue.push(target);
    }
  }
  return [];
}

function wayTo(node: string, before: ReadonlyMap<string, string>): string[] {
  const way = [node];
  for (let at = before.get(node); at !== undefined; at = before.get(at)) way.unshift(at);
  return way;
}

/** The longest chain of components, each leading to the next: 1 where nothing leads anywhere. */
export function layers(graph: Graph, parts: readonly (readonly string[])[]): number {
  const height = new Map<string, number>();
  let highest = 0;
  for (const part of parts) {
    const inside = new Set(part);
    let below = 0;
    for (const node of part)
      for (const target of graph.get(node) ?? [])
        if (!inside.has(target)) below = Math.max(below, height.get(target) ?? 0);
    for (const node of part) height.set(node, below + 1);
    highest = Math.max(highest, below + 1);
  }
  return highest;
}
