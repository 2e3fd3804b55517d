import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Finding, ToolReport } from '../base/base.ts';
import { LineIndex } from './comments.ts';
import { readMarkdown, type MarkdownFile } from './markdown.ts';
import { extensionOf, isGenerated, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TextFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: medium for a link that leads nowhere in a file that people read first (README,
 * CONTRIBUTING, docs), low elsewhere and for an anchor that is gone (the page at least opens), low
 * for a name in the wrong case (works on the author's machine and breaks on the server).
 */
const readFirst =
  /(^|\/)(readme|contributing|security|changelog|index)[^/]*\.(md|markdown)$|^docs?\//i;

interface Tree {
  readonly files: ReadonlySet<string>;
  /** Folders of tracked files, with the empty name for the top. */
  readonly folders: ReadonlySet<string>;
  /** Lower-case path to the path as it is. */
  readonly folded: ReadonlyMap<string, string>;
}

/** Relative links and anchors in Markdown resolve to tracked files and headings. Asks no network. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('link-check', context.limit);
  const tree = readTree(repository);
  const documents = new Map<string, MarkdownFile & TextFile>();
  for (const file of repository.texts(({ path }) => isMarkdown(path))) {
    documents.set(file.path, { ...file, ...readMarkdown(file.text) });
  }
  let links = 0;
  let external = 0;
  for (const document of documents.values()) {
    if (isVendored(document.path) || isGenerated(document.path, document.text)) continue;
    const index = new LineIndex(document.text);
    for (const { target, offset } of document.links) {
      links += 1;
      if (isExternal(target)) {
        external += 1;
        continue;
      }
      const problem = checkLink(document.path, target, tree, documents, repository);
      if (problem !== undefined)
        report.add({ ...problem, file: document.path, ...index.at(offset), evidence: target });
    }
    for (const { label, offset } of document.undefinedLabels) {
      report.add({
        severity: 'low',
        rule: 'undefined-label',
        file: document.path,
        ...index.at(offset),
        message: `No line defines the link label [${label}]; readers see the brackets.`,
        fix: `Add a line: [${label}]: target`,
      });
    }
  }
  report.metric('documents', documents.size);
  report.metric('links', links);
  report.metric('externalLinks', external);
  if (external > 0)
    report.note(
      `${count(external, 'link')} to other sites were not opened: this tool asks no network.`,
    );
  report.notes(repository.notes());
  return report.build(
    `${count(links - external, 'link')} within the repository in ${count(documents.size, 'document')}; ${report.total} broken.`,
  );
}

function isMarkdown(path: string): boolean {
  return /^(md|markdown|mdx)$/.test(extensionOf(path));
}

function isExternal(target: string): boolean {
  return /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(target);
}

function readTree({ otherEntries, files }: Repository): Tree {
  const paths = new Set(files.map((file) => file.path));
  const folders = new Set(['']);
  for (const path of paths) {
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder))
      folders.add(folder);
  }
  // Links and submodules are tracked too, though nothing is read through them.
  for (const path of otherEntries) folders.add(path);
  const folded = new Map([...folders, ...paths].map((path) => [path.toLowerCase(), path]));
  return { files: paths, folders, folded };
}

type Problem = Pick<Finding, 'severity' | 'rule' | 'message' | 'fix'>;

function checkLink(
  from: string,
  target: string,
  tree: Tree,
  documents: ReadonlyMap<string, MarkdownFile>,
  repository: Repository,
): Problem | undefined {
  // Templates are filled in by something else.
  if (target === '' || /\{\{|\{%|\$\{|<%/.test(target)) return undefined;
  const hash = target.indexOf('#');
  const anchor = hash < 0 ? '' : unescape(target.slice(hash + 1));
  const name = unescape((hash < 0 ? target : target.slice(0, hash)).replace(/\?.*$/, ''));
  const severity = readFirst.test(from) ? 'medium' : 'low';
  const path = name === '' ? from : resolveFrom(from, name);
  // GitHub's ../../issues leaves the tree on purpose.
  if (path === undefined) return undefined;
  if (!tree.files.has(path) && !tree.folders.has(path)) {
    // Site generators leave the extension out, or name the page that is made from the source.
    const source = [`${path}.md`, `${path}.mdx`, path.replace(/\.html$/, '.md')].find((other) =>
      tree.files.has(other),
    );
    if (source !== undefined) return undefined;
    return missing(path, name, severity, tree, repository);
  }
  if (anchor === '') return undefined;
  return checkAnchor(path, anchor, documents);
}

function missing(
  path: string,
  name: string,
  severity: Problem['severity'],
  tree: Tree,
  { top }: Repository,
): Problem | undefined {
  const other = tree.folded.get(path.toLowerCase());
  if (other !== undefined) {
    return {
      severity: 'low',
      rule: 'link-case',
      message: `The file is called ${other}; this link works only where case is folded.`,
      fix: `Write ${other}.`,
    };
  }
  // A root-relative link of a documentation site is resolved by its generator, not by the tree.
  if (name.startsWith('/') && !tree.folders.has(path.split('/')[0] ?? '')) return undefined;
  return existsSync(join(top, path))
    ? {
        severity,
        rule: 'link-to-untracked',
        message: `${path} is on this machine but not tracked: the link breaks in every clone.`,
        fix: 'Track the file or remove the link.',
      }
    : {
        severity,
        rule: 'broken-link',
        message: `There is no ${path} in the repository.`,
        fix: 'Correct the path or remove the link.',
      };
}

function checkAnchor(
  path: string,
  anchor: string,
  documents: ReadonlyMap<string, MarkdownFile>,
): Problem | undefined {
  const document = documents.get(path);
  // Lines of source files (#L10) and parts of pages that are not Markdown.
  if (document === undefined || /^L\d+(-L\d+)?$|^:~:|^user-content-/.test(anchor)) return undefined;
  if (
    document.anchors.has(anchor) ||
    document.anchors.has(anchor.toLowerCase()) ||
    anchor === 'top'
  )
    return undefined;
  return {
    severity: 'low',
    rule: 'broken-anchor',
    message: `${path} has no heading for #${anchor}.`,
    fix: 'Name a heading that is there.',
  };
}

/** Relative to the file, or to the top with a leading slash; undefined where it leaves the repository. */
function resolveFrom(from: string, name: string): string | undefined {
  const joined = name.startsWith('/')
    ? posix.normalize(name.slice(1))
    : posix.join(posix.dirname(from), name);
  const path = joined.replace(/\/$/, '');
  if (path === '..' || path.startsWith('../')) return undefined;
  return path === '.' ? '' : path;
}

function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
