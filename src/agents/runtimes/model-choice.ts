import type { AgentDefinition } from '../agents.ts';
import type { ModelDefaults } from '../runtime.ts';
import { anthropicAliases, listPrice, type ModelPrice } from './model-catalog.ts';
import { modelSpecOf, type ModelRuntimeSpec } from './model-spec.ts';

/** Which model answers for an agent, where, and at what price. */
export interface ModelChoice {
  readonly provider: ModelDefaults['provider'];
  readonly model: string;
  readonly baseUrl: string;
  /** Whether `baseUrl` is the provider's own, not one that somebody gave. */
  readonly isOwnUrl: boolean;
  /** The variable that holds its key; absent where none is sent. */
  readonly key?: { readonly name: string; readonly required: boolean };
  /** Absent where nobody has said one: what it costs is not known then. */
  readonly price?: ModelPrice;
}

const ownUrls = {
  anthropic: 'https://api.anthropic.com/v1',
  'openai-compatible': 'https://api.openai.com/v1',
} as const;

const usualKeys = {
  anthropic: 'ANTHROPIC_API_KEY',
  'openai-compatible': 'OPENAI_API_KEY',
} as const;

/**
 * Puts together what a definition and the settings say. The settings of a model and an address are
 * those of their provider: a definition that names another one has nothing of them. `problem` where
 * that leaves no model.
 */
export function chooseModel(
  definition: AgentDefinition,
  defaults: ModelDefaults,
): ModelChoice | { readonly problem: string } {
  const spec = modelSpecOf(definition);
  const provider = spec.provider ?? defaults.provider;
  const own = provider === defaults.provider ? defaults : { model: '', baseUrl: '' };
  const model = modelOf(definition, spec, provider, own.model);
  if (model === undefined) {
    const problem = 'no model: set CENTURIA_MODEL, or give the full id of one as its model';
    return { problem };
  }
  const given = spec.baseUrl ?? own.baseUrl;
  const baseUrl = (given === '' ? ownUrls[provider] : given).replace(/\/+$/, '');
  const isOwnUrl = baseUrl === ownUrls[provider];
  const key = keyOf(spec, provider, isOwnUrl);
  const price = priceOf(spec, provider, model, isOwnUrl);
  return {
    provider,
    model,
    baseUrl,
    isOwnUrl,
    ...(key === undefined ? {} : { key }),
    ...(price === undefined ? {} : { price }),
  };
}

/** What its address is by name: the one private host that it may reach without being allowed to. */
export function hostOf({ baseUrl }: ModelChoice): string {
  return new URL(baseUrl).host;
}

function modelOf(
  { frontmatter }: AgentDefinition,
  spec: ModelRuntimeSpec,
  provider: ModelDefaults['provider'],
  fallback: string,
): string | undefined {
  const field = frontmatter['model'];
  // Claude Code marks a longer context at the end; current models have it anyway.
  const named = (spec.model ?? (typeof field === 'string' ? field : 'inherit')).replace(
    /\[1m\]$/,
    '',
  );
  const alias = Object.hasOwn(anthropicAliases, named) ? anthropicAliases[named] : undefined;
  if (alias === undefined) return named;
  if (fallback !== '') return fallback;
  return provider === 'anthropic' ? alias : undefined;
}

/**
 * The provider's usual key goes to its own address and to the one in the settings, never to one that
 * a definition brings. Local endpoints often need none: there it is sent only where it is set.
 */
function keyOf(
  spec: ModelRuntimeSpec,
  provider: ModelDefaults['provider'],
  isOwnUrl: boolean,
): ModelChoice['key'] {
  if (spec.key === 'none') return undefined;
  if (spec.key !== undefined) return { name: spec.key, required: true };
  if (spec.baseUrl !== undefined && !isOwnUrl) return undefined;
  return { name: usualKeys[provider], required: isOwnUrl || provider === 'anthropic' };
}

/** An id of Claude means the same model wherever it is sold; other ids mean something at their own seller only. */
function priceOf(
  { price }: ModelRuntimeSpec,
  provider: ModelDefaults['provider'],
  model: string,
  isOwnUrl: boolean,
): ModelPrice | undefined {
  if (price !== undefined) {
    const { cacheReadUsdPerMTok: cacheRead, cacheWriteUsdPerMTok: cacheWrite } = price;
    return {
      input: price.inputUsdPerMTok,
      output: price.outputUsdPerMTok,
      ...(cacheRead === undefined ? {} : { cacheRead }),
      ...(cacheWrite === undefined ? {} : { cacheWrite }),
    };
  }
  if (provider === 'anthropic') return listPrice('anthropic', model);
  return isOwnUrl ? listPrice('openai', model) : undefined;
}
