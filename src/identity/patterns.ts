/**
 * Whether a pattern stands for the text: `*` for any run of characters, everything else for itself.
 * The same as `matches_resource` in SQL. Takes time in proportion to the product of the lengths at
 * worst, never more.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  let at = 0;
  let p = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    if (pattern[p] === '*') {
      star = p;
      p += 1;
      resume = at;
    } else if (p < pattern.length && pattern[p] === text[at]) {
      p += 1;
      at += 1;
    } else if (star !== -1) {
      p = star + 1;
      resume += 1;
      at = resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}
