/**
 * Models that are known by name: what the aliases of definitions stand for, and what tokens cost.
 *
 * Read on 2026-11-21. Ids and prices of Claude: platform.claude.com/docs/en/models/overview and
 * /docs/en/about-claude/pricing. Prices of GPT: developers.openai.com/api/docs/pricing, standard tier.
 * A price that a provider has changed since is put right by `price` of the definition at once, and here.
 */

/** US dollars for a million tokens, which is millionths of a dollar for one. */
export interface ModelPrice {
  readonly input: number;
  readonly output: number;
  /** As input where it is not given. */
  readonly cacheRead?: number;
  /** Of the five minutes that this runtime asks for; as input where it is not given. */
  readonly cacheWrite?: number;
  /** What a whole request costs whose prompt, with what the cache held, is longer than `tokens`. */
  readonly above?: Omit<ModelPrice, 'above'> & { readonly tokens: number };
}

/** What `model: sonnet` and the like mean at Anthropic; `inherit` has nobody to inherit from here. */
export const anthropicAliases: Readonly<Record<string, string>> = {
  opus: 'claude-opus-5-5',
  sonnet: 'claude-sonnet-5-5',
  haiku: 'claude-haiku-5-5',
  fable: 'claude-fable-5-2',
  inherit: 'claude-sonnet-5-5',
};

const opus5: ModelPrice = { input: 5, output: 25, cacheRead: 0.5, cacheWrite: 6.25 };
const sonnet4: ModelPrice = { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 };

const anthropicPrices: Readonly<Record<string, ModelPrice>> = {
  'claude-fable-5-2': { input: 8, output: 40, cacheRead: 0.2, cacheWrite: 10 },
  'claude-fable-5-1': { input: 10, output: 50, cacheRead: 0.25, cacheWrite: 12.5 },
  'claude-fable-5': { input: 10, output: 50, cacheRead: 1, cacheWrite: 12.5 },
  'claude-opus-5-5': { input: 4, output: 20, cacheRead: 0.2, cacheWrite: 5 },
  'claude-opus-5': opus5,
  'claude-opus-4-8': opus5,
  'claude-opus-4-7': opus5,
  'claude-opus-4-6': opus5,
  'claude-opus-4-5': opus5,
  'claude-sonnet-5-5': { input: 2, output: 10, cacheRead: 0.1, cacheWrite: 2.5 },
  'claude-sonnet-5': { input: 2, output: 10, cacheWrite: 2.5 },
  'claude-sonnet-4-6': sonnet4,
  'claude-sonnet-4-5': sonnet4,
  'claude-haiku-5-5': {
    input: 0.1,
    output: 0.5,
    cacheRead: 0.01,
    cacheWrite: 0.125,
    above: { tokens: 100_000, input: 0.5, output: 2.5, cacheRead: 0.05, cacheWrite: 0.625 },
  },
  'claude-haiku-4-5': { input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25 },
};

/** Above this many tokens of the prompt OpenAI bills twice the input and one and a half times the output. */
const openaiLong = 272_000;

function openai(input: number, output: number, cacheRead: number): ModelPrice {
  const above = { tokens: openaiLong, input: input * 2, output: output * 1.5 };
  return { input, output, cacheRead, above: { ...above, cacheRead: cacheRead * 2 } };
}

const openaiPrices: Readonly<Record<string, ModelPrice>> = {
  'gpt-6.1-sol': openai(2, 10, 0.1),
  'gpt-6.1-terra': openai(1, 5, 0.05),
  'gpt-6-astra': openai(10, 50, 1),
  'gpt-6-sol': openai(2, 10, 0.2),
  'gpt-6-luna': openai(0.1, 0.5, 0.01),
};

const prices = { anthropic: anthropicPrices, openai: openaiPrices } as const;

/** The list price of a model, under its id with or without a date; undefined where none is known. */
export function listPrice(seller: keyof typeof prices, model: string): ModelPrice | undefined {
  const table = prices[seller];
  const plain = model.replace(/[-@](\d{8}|\d{4}-\d{2}-\d{2})$/, '');
  return Object.hasOwn(table, plain) ? table[plain] : undefined;
}
