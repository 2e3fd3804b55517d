/** The sections of a changelog, by whatever mark its headings have. */
import { parseVersion } from './versions.ts';

export interface ChangelogSection {
  /** Undefined for what is not released yet. */
  readonly version: string | undefined;
  readonly line: number;
  readonly hasDate: boolean;
  /** Lines that say something. */
  readonly entries: number;
}

export const changelogName =
  /^(changelog|changes|history|news|releases?)(\.(md|rst|txt|markdown))?$/i;

const heading =
  /^(?:#{1,4}\s+|(?=\[?v?\d+\.\d+\.\d+))(?:version\s+|release\s+)?\[?(v?\d+\.\d+\.\d+[\w.+-]*|unreleased|next|upcoming)(?!\]?:)\]?(.*)$/i;

/** Sections of versions and of what comes next, in the order of the file. */
export function readChangelog(text: string): ChangelogSection[] {
  const sections: {
    version: string | undefined;
    line: number;
    hasDate: boolean;
    entries: number;
  }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const found = heading.exec(line.trim());
    const name = found?.[1];
    const version =
      name === undefined
        ? undefined
        : parseVersion(name) === undefined
          ? undefined
          : name.replace(/^v/i, '');
    if (name !== undefined && (version !== undefined || !/^v?\d/.test(name))) {
      const hasDate = /\d{4}-\d{2}-\d{2}|\d{1,2}[. /]\w+[. /]\d{4}/.test(found?.[2] ?? '');
      sections.push({ version, line: index + 1, hasDate, entries: 0 });
      continue;
    }
    const current = sections.at(-1);
    // Headings, rules and link definitions say nothing of a change.
    if (
      current !== undefined &&
      line.trim() !== '' &&
      !/^(#|\[[^\]]+\]:|[-=~*]{3,}$)/.test(line.trim())
    )
      current.entries += 1;
  }
  return sections;
}
