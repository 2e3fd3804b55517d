import { references, suggest, toAppError } from '../base/base.ts';
import { complain, type Path } from './fields.ts';
import type { Frontmatter } from './frontmatter.ts';

/** What a template of a runtime may name. */
const scopeNames = ['input', 'attempt'] as const;

/**
 * Complains of expressions in a template that are malformed or begin with none of the names; `more`
 * are names beside `input` and `attempt`.
 */
export function checkTemplate(
  front: Frontmatter,
  template: unknown,
  path: Path,
  more: readonly string[] = [],
): void {
  const known = [...scopeNames, ...more];
  try {
    for (const expression of references(template)) {
      const [first = ''] = expression.split('.');
      if (known.includes(first)) continue;
      const near = suggest(first, known);
      const message = `holds \${${expression}}: expressions begin with ${known.join(' or ')}`;
      complain(front, path, message, near && `Did you mean ${near}?`);
    }
  } catch (thrown) {
    const error = toAppError(thrown);
    complain(front, path, `holds a wrong expression: ${error.message}`, error.remedy);
  }
}

/** The templates of a program's arguments, one by one, and of the folder that it runs in. */
export function checkCommandLine(
  front: Frontmatter,
  {
    arguments: templates = [],
    directory,
  }: { readonly arguments?: readonly (string | number)[]; readonly directory?: string },
  path: Path,
): void {
  for (const [index, template] of templates.entries()) {
    checkTemplate(front, template, [...path, 'arguments', index]);
  }
  checkTemplate(front, directory, [...path, 'directory']);
}
