/** CODEOWNERS as GitHub reads it: gitignore-like patterns without `!` and `[ ]`; the last match decides. */

export interface OwnerRule {
  readonly line: number;
  readonly pattern: string;
  readonly owners: readonly string[];
  readonly matches: (path: string) => boolean;
}

export interface OwnerProblem {
  readonly line: number;
  readonly rule: 'owner-invalid' | 'owner-pattern-invalid';
  readonly message: string;
}

/** Reads the file; a line that GitHub would skip is a problem and gives no rule. */
export function parseCodeowners(text: string): { rules: OwnerRule[]; problems: OwnerProblem[] } {
  const rules: OwnerRule[] = [];
  const problems: OwnerProblem[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const content = raw.replace(/(^|\s)#.*$/, '').trim();
    // GitLab's sections carry defaults; the patterns below them are read as they stand.
    if (content === '' || /^\^?\[[^\]]+\](\[\d+\])?(\s|$)/.test(content)) continue;
    // A space in a path is written as "\ ".
    const [pattern = '', ...owners] = content.split(/(?<!\\)\s+/);
    if (pattern.startsWith('!') || /[[\]]/.test(pattern)) {
      problems.push({
        line,
        rule: 'owner-pattern-invalid',
        message: `${pattern} uses ! or [ ], which CODEOWNERS does not know: the whole line is skipped.`,
      });
      continue;
    }
    const wrong = owners.filter((owner) => !isOwner(owner));
    if (wrong.length > 0) {
      problems.push({
        line,
        rule: 'owner-invalid',
        message: `${wrong.join(', ')} is no owner (@user, @organization/team or an address): the whole line is skipped.`,
      });
      continue;
    }
    rules.push({ line, pattern, owners, matches: matcher(pattern.replaceAll('\\ ', ' ')) });
  }
  return { rules, problems };
}

function isOwner(text: string): boolean {
  return /^@[\w.-]+(\/[\w./-]+)?$/.test(text) || /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(text);
}

/** The rule that decides for a path: the last that matches. */
export function ownerRuleOf(rules: readonly OwnerRule[], path: string): OwnerRule | undefined {
  return rules.findLast((rule) => rule.matches(path));
}

/** A pattern as a test of paths. A slash before the end ties it to the top; a match of a folder covers what is in it. */
export function matcher(pattern: string): (path: string) => boolean {
  const body = pattern.replace(/^\//, '').replace(/\/$/, '');
  const anchored = pattern.replace(/\/$/, '').includes('/');
  const parts = body.split('/').map((part, index, all) => {
    if (part === '**') return index === all.length - 1 ? '.+' : '(?:[^/]+/)*';
    const glob = part
      .replace(/[.+^${}()|\\]/g, '\\$&')
      .replace(/\*+/g, '[^/]*')
      .replaceAll('?', '[^/]');
    return index === all.length - 1 ? glob : `${glob}/`;
  });
  // "docs/*" owns the files of docs and not those of its folders; every other match of a folder goes down.
  const end = pattern.endsWith('/') ? '/.+' : /[^*]\/\*$/.test(pattern) ? '' : '(?:/.*)?';
  const regex = new RegExp(`^${anchored ? '' : '(?:.*/)?'}${parts.join('')}${end}$`);
  return (path) => regex.test(path);
}
