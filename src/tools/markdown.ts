/** As much of Markdown as links need: what is code, what is a heading, what is a link. */

export interface MarkdownLink {
  readonly target: string;
  readonly offset: number;
}

export interface MarkdownFile {
  readonly links: readonly MarkdownLink[];
  /** Of headings, as GitHub makes them, and of HTML elements with an id or name. */
  readonly anchors: ReadonlySet<string>;
  /** Labels that a link uses and nothing defines. */
  readonly undefinedLabels: readonly { readonly label: string; readonly offset: number }[];
}

/** Reads links and anchors. Code, comments and front matter are passed over. */
export function readMarkdown(source: string): MarkdownFile {
  const text = blankCode(source);
  const links: MarkdownLink[] = [];
  const definitions = new Map<string, MarkdownLink>();
  for (const match of text.matchAll(
    /^ {0,3}\[([^\]^][^\]]{0,300})\]:[ \t]*(?:<([^>\n]+)>|(\S+))/gm,
  )) {
    const target = match[2] ?? match[3] ?? '';
    const link = { target, offset: match.index + match[0].length - target.length };
    definitions.set(fold(match[1] ?? ''), link);
    links.push(link);
  }
  // One level of brackets in the text (images in links) and of parentheses in the target.
  for (const match of text.matchAll(
    /\]\([ \t]*(?:<([^>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))+))(?:\s+(?:"[^"]*"|'[^']*'|\([^)]*\)))?[ \t]*\)/g,
  )) {
    const target = match[1] ?? match[2] ?? '';
    links.push({
      target: target.replaceAll(/\\([()<>])/g, '$1'),
      offset: match.index + match[0].indexOf(target),
    });
  }
  for (const match of text.matchAll(
    /<(?:a|img|source|video)\s[^<>]{0,500}?\b(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')/gi,
  )) {
    const target = match[1] ?? match[2] ?? '';
    links.push({ target, offset: match.index + match[0].length - target.length - 1 });
  }
  const undefinedLabels: { label: string; offset: number }[] = [];
  // Only the full form: [text][label]. A lone [word] is mostly just a word in brackets.
  for (const match of text.matchAll(/(?<!\])\[[^[\]\n]+\]\[([^[\]\n]+)\]/g)) {
    const label = match[1] ?? '';
    if (!definitions.has(fold(label)) && /[A-Za-z]/.test(label))
      undefinedLabels.push({ label, offset: match.index });
  }
  return { links, anchors: readAnchors(text, source), undefinedLabels };
}

function fold(label: string): string {
  return label.trim().replaceAll(/\s+/g, ' ').toLowerCase();
}

/** The same length, with everything that is code, a comment or front matter as spaces. Line by line, so that no input makes it slow. */
function blankCode(source: string): string {
  const lines = source.split('\n');
  let fence = '';
  let isFrontMatter = /^---\s*$/.test(lines[0] ?? '') && lines.slice(1, 200).some(isRule);
  let isComment = false;
  let afterBlank = true;
  const kept = lines.map((line, index) => {
    if (isFrontMatter) {
      isFrontMatter = index === 0 || !isRule(line);
      return blank(line);
    }
    if (fence !== '') {
      const close = /^[\s>]*(`{3,}|~{3,})\s*$/.exec(line)?.[1] ?? '';
      if (close.startsWith(fence)) fence = '';
      return blank(line);
    }
    fence = isComment
      ? ''
      : (/^(?:[\s>]|[-*+] |\d+[.)] )*(`{3,}(?=[^`]*$)|~{3,})/.exec(line)?.[1] ?? '');
    const isIndented = afterBlank && /^( {4}|\t)\s*[^\s\-*+\d>]/.test(line);
    afterBlank = line.trim() === '' || isIndented;
    if (fence !== '' || (isIndented && !isComment)) return blank(line);
    const [text, open] = blankComment(line, isComment);
    isComment = open;
    return text;
  });
  // Inline code ends with its paragraph, list item or heading at the latest.
  const blocks = kept.join('\n').split(/\n(?=[ \t]*(?:\r?\n|[-*+#>|]|\d+[.)]))/);
  return blocks.map((block) => block.replaceAll(inlineCode, blank)).join('\n');
}

const inlineCode =
  /(?<!`)(`{1,4})(?!`)[^`]{1,1000}(?:(?!\1(?!`))`+[^`]{1,1000}){0,20}(?<!`)\1(?!`)/g;

function isRule(line: string): boolean {
  return /^(---|\.\.\.)\s*$/.test(line);
}

/** The line without its comments, and whether one goes on. */
function blankComment(line: string, isOpen: boolean): [string, boolean] {
  let text = '';
  let open = isOpen;
  for (let rest = line; ;) {
    const at = rest.indexOf(open ? '-->' : '<!--');
    if (at < 0) return [text + (open ? blank(rest) : rest), open];
    const end = at + (open ? 3 : 0);
    text += open ? blank(rest.slice(0, end)) : rest.slice(0, end);
    rest = rest.slice(end);
    open = !open;
  }
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}

function readAnchors(text: string, source: string): Set<string> {
  const anchors = new Set<string>();
  const seen = new Map<string, number>();
  const originals = source.split('\n');
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    // The heading's own text comes from the source: inline code in it counts.
    const original = (originals[index] ?? '').trim();
    const isHeading = /^ {0,3}#{1,6}[ \t]/.test(line);
    if (!isHeading && (original === '' || !/^ {0,3}(=+|-{2,})\s*$/.test(lines[index + 1] ?? '')))
      continue;
    const slug = slugOf(isHeading ? original.replace(/^#+/, '').replace(/[ \t]#+$/, '') : original);
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    anchors.add(times === 0 ? slug : `${slug}-${times}`);
  }
  for (const match of text.matchAll(
    /<[a-z][\w-]{0,20}\s[^<>]{0,500}?\b(?:id|name)\s*=\s*["']([^"'<>]+)["']/gi,
  )) {
    anchors.add(match[1] ?? '');
  }
  // Pandoc, kramdown and Docusaurus: # Heading {#id}
  for (const match of text.matchAll(/\{#([\w-]+)[^}\n]{0,200}\}/g)) anchors.add(match[1] ?? '');
  return anchors;
}

/** GitHub's anchor of a heading: lower case, no punctuation, hyphens for spaces. */
export function slugOf(heading: string): string {
  return heading
    .replaceAll(/!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, '$1')
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll(/&[a-z]+;/gi, '')
    .replaceAll(/(^|[\s*(])_+([^_]+)_+(?=$|[\s*).,:;!?])/g, '$1$2')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');
}
