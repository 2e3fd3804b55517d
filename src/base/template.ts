import { AppError } from './errors.ts';

/** `${a.b.c}`; `$${` stands for a literal `${`. Names may hold letters, digits, `_` and `-`. */
const expression = /\$(\$\{)|\$\{([^{}]*)\}|\$\{/g;
const path = /^[A-Za-z_][\w-]*(\.[\w-]+)*$/;

/**
 * Replaces the expressions in a value and everything inside it. A text that is one expression takes
 * the value with its type; inside a longer text a string stands as it is and anything else as JSON.
 * Throws `invalid_input` where an expression is malformed or names nothing.
 */
export function expand(value: unknown, scope: Readonly<Record<string, unknown>>): unknown {
  if (typeof value === 'string') return expandText(value, scope);
  if (Array.isArray(value)) return value.map((item) => expand(item, scope));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, expand(item, scope)]),
    );
  }
  return value;
}

/** The paths that a value's expressions name, in order of appearance. Throws as `expand` does for malformed ones. */
export function references(value: unknown): string[] {
  if (typeof value === 'string') {
    const found: string[] = [];
    for (const match of value.matchAll(expression)) {
      if (match[1] === undefined) found.push(checkedPath(match[2]));
    }
    return found;
  }
  if (value !== null && typeof value === 'object') return Object.values(value).flatMap(references);
  return [];
}

function expandText(text: string, scope: Readonly<Record<string, unknown>>): unknown {
  const whole = /^\$\{([^{}]*)\}$/.exec(text);
  if (whole?.[1] !== undefined) return lookUp(checkedPath(whole[1]), scope);
  return text.replace(expression, (_match, literal?: string, inner?: string) => {
    if (literal !== undefined) return literal;
    const names = checkedPath(inner);
    return asText(names, lookUp(names, scope));
  });
}

function asText(names: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return value.toString();
  const text = JSON.stringify(value) as string | undefined;
  if (text !== undefined) return text;
  throw new AppError('invalid_input', `\${${names}} has no value that can stand in a text`, {
    details: { expression: names },
  });
}

/** `inner` is undefined where the closing brace is missing. */
function checkedPath(inner: string | undefined): string {
  if (inner === undefined) {
    throw new AppError('invalid_input', 'an expression begins with ${ and has no } of its own', {
      remedy: 'Write names joined by dots, as in ${inputs.repo}; write $${ for a literal ${.',
    });
  }
  const trimmed = inner.trim();
  if (path.test(trimmed)) return trimmed;
  throw new AppError('invalid_input', `\${${inner}} is not an expression`, {
    remedy: 'Write names joined by dots, as in ${inputs.repo}; write $${ for a literal ${.',
  });
}

function lookUp(names: string, scope: Readonly<Record<string, unknown>>): unknown {
  let value: unknown = scope;
  for (const name of names.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) {
      throw new AppError('invalid_input', `\${${names}} names nothing: there is no ${name}`, {
        details: { expression: names, missing: name },
        ...(names === `input.${name}`
          ? { remedy: `Give the agent the input ${name}: by hand, --input ${name}=…` }
          : {}),
      });
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
