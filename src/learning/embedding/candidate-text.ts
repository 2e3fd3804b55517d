import type { Candidate } from '../types.ts';

/** What is embedded of an agent before there is any outcome: the words that its definition says about it. */
export function candidateText(
  candidate: Pick<Candidate, 'name' | 'description' | 'category' | 'capabilities'>,
): string {
  const { name, description, category, capabilities } = candidate;
  return `${name} ${category} ${capabilities.join(' ')}\n${description}`;
}
