/** What runtimes that dial out do in the same way: addresses and headers from templates, and a look at a host. */
import { AppError, expand } from '../../base/base.ts';
import { parseAllowed, type Reach } from '../../outbound/outbound.ts';
import type { AgentDefinition } from '../agents.ts';
import type { CheckResult, RuntimeTools } from '../runtime.ts';
import { abortError } from './deadline.ts';
import { missingRequirement } from './requirements.ts';

type Scope = Readonly<Record<string, unknown>>;

/** The fields of a runtime that say what may be dialled. */
export interface DialSpec {
  readonly url: string;
  readonly allow?: readonly string[];
  readonly limits?: { readonly responseMb?: number; readonly redirects?: number };
}

const bytesPerMb = 1_048_576;
const oneExpression = /^\$\{[^{}]*\}$/;

/** The part of an address between `//` and the path; the whole where the address is one expression. */
export function authorityOf(url: string): string | undefined {
  if (oneExpression.test(url)) return url;
  return /^https?:\/\/([^/?#\\]*)/i.exec(url)?.[1];
}

/** The origin that an address has whatever its expressions become; undefined where they choose it. */
export function literalOrigin(url: string): URL | undefined {
  const authority = authorityOf(url);
  if (authority === undefined || authority === '' || authority.includes('${')) return undefined;
  const origin = `${url.slice(0, url.indexOf('//'))}//${authority}/`;
  if (!URL.canParse(origin)) return undefined;
  const parsed = new URL(origin);
  try {
    parseAllowed(parsed.host);
    return parsed;
  } catch {
    return undefined;
  }
}

/**
 * What an agent may reach: the host that its author wrote out, and what `allow` adds. Where the host comes
 * from an expression, or `listedOnly` says so, that and nothing else.
 */
export function reachOf(
  agent: AgentDefinition,
  spec: DialSpec,
  more: Pick<Reach, 'listedOnly' | 'maxSilenceMs'> = {},
): Reach {
  const origin = literalOrigin(spec.url);
  const { responseMb, redirects } = spec.limits ?? {};
  return {
    who: `agent ${agent.name}`,
    allow: [...(origin === undefined ? [] : [hostAndPort(origin)]), ...(spec.allow ?? [])],
    listedOnly: origin === undefined,
    ...(responseMb === undefined ? {} : { maxBytes: responseMb * bytesPerMb }),
    ...(redirects === undefined ? {} : { maxRedirects: redirects }),
    ...more,
  };
}

function hostAndPort({ hostname, port, protocol }: URL): string {
  const host = hostname.replace(/\.$/, '');
  return `${host}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/**
 * An address from its template. Each value stands in it as one piece: no slash, question mark or dots of
 * its own lead elsewhere. Throws `invalid_input`.
 */
export function expandUrl(template: string, scope: Scope): URL {
  const isWhole = oneExpression.test(template);
  const text = isWhole
    ? textOf(expand(template, scope))
    : template.replace(/\$\$\{|\$\{[^{}]*\}?/g, (expression) => encoded(expand(expression, scope)));
  const path = text.split(/[?#]/)[0] ?? '';
  const isTemplate = !isWhole && template.includes('${');
  if (isTemplate && path.split(/[/\\]/).some((part) => /^(?:\.|%2e){1,2}$/i.test(part))) {
    throw new AppError('invalid_input', 'a value of the address is . or .., which leads elsewhere');
  }
  if (!URL.canParse(text)) {
    throw new AppError('invalid_input', 'what its expressions make of the address is no URL');
  }
  const url = new URL(text);
  const literal = literalOrigin(template);
  if (literal !== undefined && literal.origin !== url.origin) {
    throw new AppError('internal', `the address left ${literal.origin}`);
  }
  return url;
}

function encoded(value: unknown): string {
  return encodeURIComponent(textOf(value).toWellFormed());
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Headers from their templates. Throws `invalid_input` for a value with an end of line in it, or beyond Latin-1. */
export function expandHeaders(
  templates: Readonly<Record<string, string>> | undefined,
  scope: Scope,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, template] of Object.entries(templates ?? {})) {
    const value = textOf(expand(template, scope)).trim();
    // The value may be a secret: only its header's name is told.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw new AppError(
        'invalid_input',
        `the header ${name} would hold a character that ends it`,
        {
          details: { header: name },
          remedy: 'A header is one line of Latin-1.',
        },
      );
    }
    headers[name] = value;
  }
  return headers;
}

/** Looks whether all that an agent requires is here and somebody listens at its address. */
export async function checkHost(
  agent: AgentDefinition,
  spec: DialSpec,
  tools: Pick<RuntimeTools, 'packageRoot' | 'environment' | 'outbound'>,
  signal: AbortSignal,
): Promise<CheckResult> {
  const missing = await missingRequirement(agent, tools);
  if (missing !== undefined) return { ok: false, state: 'unavailable', reason: missing };
  const origin = literalOrigin(spec.url);
  // Where calls choose the host, there is none to look at before a call.
  if (origin === undefined) return { ok: true };
  try {
    await tools.outbound.probe(origin, reachOf(agent, spec), signal);
    return { ok: true };
  } catch (thrown) {
    const { message } = signal.aborted ? abortError(signal, agent.name) : (thrown as AppError);
    return { ok: false, state: 'unavailable', reason: message };
  }
}
